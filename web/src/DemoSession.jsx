import { useState } from 'react';
import { parseJSONC, useGraphiQL } from '@graphiql/react';
import { run } from './fetcher.js';

const START_SESSION = `mutation StartDemoSession {
  startSession(input: { landingPage: "/graphql" }) {
    accessToken
    expiresAt
    userErrors { message }
  }
}`;

/** Starts an anonymous session and puts its token into the headers. */
export function DemoSession() {
  const headerEditor = useGraphiQL((state) => state.headerEditor);
  const [status, setStatus] = useState('');
  const [isBusy, setIsBusy] = useState(false);

  async function start() {
    setIsBusy(true);
    setStatus('');
    try {
      const { accessToken, expiresAt } = await startSession();
      authorize(headerEditor, accessToken);
      revealHeaders();
      setStatus(expiresAt ? `Token in Headers, valid until ${timeOf(expiresAt)}` : 'Token in Headers');
    } catch (problem) {
      setStatus(`No session: ${problem.message}`);
    } finally {
      setIsBusy(false);
    }
  }

  return (
    <span className="demo-session">
      <span role="status" title={status}>{status}</span>
      <button type="button" disabled={isBusy || !headerEditor} onClick={start}>
        Use a demo session
      </button>
    </span>
  );
}

async function startSession() {
  const { data, errors } = await run(START_SESSION);
  const session = data?.startSession;
  if (session?.accessToken) return session;
  throw new Error(errors?.[0]?.message ?? session?.userErrors?.[0]?.message ?? 'the answer had no token');
}

function authorize(headerEditor, accessToken) {
  const kept = Object.entries(currentHeaders(headerEditor)).filter(([name]) => name.toLowerCase() !== 'authorization');
  const headers = { Authorization: `Bearer ${accessToken}`, ...Object.fromEntries(kept) };
  // An edit and not setValue: it can be undone, and SharedHeaders takes it for what it is.
  headerEditor.executeEdits('demo-session', [
    { range: headerEditor.getModel().getFullModelRange(), text: `${JSON.stringify(headers, null, 2)}\n` },
  ]);
}

function currentHeaders(headerEditor) {
  try {
    return parseJSONC(headerEditor.getValue()) ?? {};
  } catch {
    throw new Error('the headers are not valid JSON');
  }
}

// GraphiQL has no call for this. Should its button ever be named otherwise, the pane just stays as it is.
function revealHeaders() {
  document.querySelector('.graphiql-editor-tools [data-name="headers"]')?.click();
}

function timeOf(instant) {
  return new Date(instant).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}
