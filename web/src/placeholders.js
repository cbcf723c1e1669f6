// Carries ids from the answer of one example into the variables of the next, so that nobody has to paste them.
// Only the placeholders below are ever replaced: what a person typed stays.

const PRODUCT_ID = '"PASTE_A_PRODUCT_ID"';
const QUIZ_VERSION = '"PASTE_THE_VERSION"';
const QUIZ_ANSWER = /^([ \t]*)\{ "questionId": "PASTE_A_QUESTION_ID".*$/m;

const known = { productId: null, quiz: null };
const changes = new EventTarget();

export function learn(result) {
  const { products, quiz } = result?.data ?? {};
  const product = products?.nodes?.[0] ?? products?.edges?.[0]?.node;
  if (!product?.id && !quiz?.questions?.length) return;
  if (product?.id) known.productId = product.id;
  if (quiz?.questions?.length) known.quiz = quiz;
  changes.dispatchEvent(new Event('learned'));
}

export function onLearned(listener) {
  changes.addEventListener('learned', listener);
  return () => changes.removeEventListener('learned', listener);
}

export function fill(variables) {
  let filled = variables;
  if (known.productId) filled = filled.replaceAll(PRODUCT_ID, () => JSON.stringify(known.productId));
  if (known.quiz?.version) filled = filled.replaceAll(QUIZ_VERSION, () => JSON.stringify(known.quiz.version));
  if (known.quiz) {
    filled = filled.replace(QUIZ_ANSWER, (_line, indent) => answersTo(known.quiz.questions, indent).join('\n'));
  }
  return filled;
}

// One line per question with its middle option, and the question and the range behind it.
function answersTo(questions, indent) {
  return questions.map(({ id, text = '', options = [] }, index) => {
    const values = options.map((option) => option.value);
    const middle = values[Math.floor((values.length - 1) / 2)] ?? 3;
    const answer = `{ "questionId": ${JSON.stringify(id)}, "value": ${middle} }`;
    const comma = index < questions.length - 1 ? ',' : '';
    const range = values.length ? `${Math.min(...values)} to ${Math.max(...values)}: ` : '';
    return `${indent}${answer}${comma} // ${range}${text.replace(/\s+/g, ' ')}`;
  });
}
