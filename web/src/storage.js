// localStorage under names of our own. Other GraphiQLs leave theirs on the same localhost port, and with a stored
// session of another project nobody would ever see the examples. Raise the number when the examples change enough
// that people should meet them again.

const PREFIX = 'aclue.1.';

function ownKeys() {
  return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
}

// A browser may refuse storage altogether; then nothing is remembered and everything else works.
function tolerant(action, otherwise) {
  try {
    return action();
  } catch {
    return otherwise;
  }
}

export const storage = {
  getItem: (key) => tolerant(() => localStorage.getItem(PREFIX + key), null),
  setItem: (key, value) => tolerant(() => localStorage.setItem(PREFIX + key, value)),
  removeItem: (key) => tolerant(() => localStorage.removeItem(PREFIX + key)),
  clear: () => tolerant(() => ownKeys().forEach((key) => localStorage.removeItem(key))),
  get length() {
    return tolerant(() => ownKeys().length, 0);
  },
};
