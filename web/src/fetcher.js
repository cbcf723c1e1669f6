import { getOperationAST } from 'graphql';
import { createClient } from 'graphql-ws';
import { learn } from './placeholders.js';

// The page is served at the endpoint itself, whatever prefix that is under.
const ENDPOINT = location.pathname;

export async function fetcher(params, { headers = {}, documentAST } = {}) {
  if (documentAST && getOperationAST(documentAST, params.operationName)?.operation === 'subscription') {
    return subscription(params, headers);
  }
  let { status, result } = await ask(params, headers);
  if (status === 401 && params.operationName === 'IntrospectionQuery') {
    // Headers are remembered longer than a token lives. The schema is the same for everybody, so an expired token
    // must not take the documentation away; the person's own operations still answer 401.
    ({ result } = await ask(params, without('authorization', headers)));
  }
  learn(result);
  return result;
}

export async function run(query) {
  const { result } = await ask({ query });
  return result;
}

async function ask(params, extraHeaders = {}) {
  try {
    const headers = new Headers({
      'Content-Type': 'application/json',
      Accept: 'application/graphql-response+json, application/json;q=0.9',
    });
    for (const [name, value] of Object.entries(extraHeaders)) headers.set(name, value);
    const body = JSON.stringify(params);
    const response = await fetch(ENDPOINT, { method: 'POST', credentials: 'same-origin', headers, body });
    return { status: response.status, result: parsed(await response.text(), response) };
  } catch (problem) {
    return { status: 0, result: failure(`The request failed: ${problem.message}`) };
  }
}

function parsed(text, { status, statusText }) {
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's error page, say: show what it was instead of "unexpected token <".
    return failure(`HTTP ${status} ${statusText}: ${text.slice(0, 300) || 'an empty answer'}`);
  }
}

// In GraphQL's own form: GraphiQL would print a thrown error with its stack.
function failure(message) {
  return { errors: [{ message }] };
}

function without(name, headers) {
  return Object.fromEntries(Object.entries(headers).filter(([key]) => key.toLowerCase() !== name));
}

// Browsers cannot put headers on a WebSocket, so they travel as the payload of connection_init.
function subscription({ query, variables, operationName }, headers) {
  const client = createClient({
    url: new URL(ENDPOINT, location.href).href.replace(/^http/, 'ws'),
    connectionParams: headers,
    retryAttempts: 0,
  });
  return {
    subscribe({ next, error, complete }) {
      const unsubscribe = client.subscribe(
        { query, variables, operationName },
        { next, complete, error: (problem) => error(readable(problem)) },
      );
      return { unsubscribe };
    },
  };
}

function readable(problem) {
  if (problem instanceof Error || Array.isArray(problem)) return problem;
  const details = [problem?.code, problem?.reason].filter(Boolean).join(' ');
  return new Error(`The WebSocket was closed: ${details || 'no reason given'}`);
}
