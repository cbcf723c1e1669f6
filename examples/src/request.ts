import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print, type GraphQLFormattedError } from 'graphql';

/** The errors[] of an answer. */
export class RequestError extends Error {
  constructor(readonly errors: readonly GraphQLFormattedError[]) {
    super(errors[0]?.message ?? 'no answer');
  }
}

/** Whether one of these errors has this code; docs/errors.md lists them. */
export function isCode(errors: readonly GraphQLFormattedError[], code: string): boolean {
  return errors.some(({ extensions }) => extensions?.code === code);
}

/** GraphQL over HTTP by fetch alone: `data` of the answer. Raises RequestError.
 *
 * A document goes by its id in the manifest that codegen wrote; a server without that manifest gets the text. */
export async function request<Data, Variables>(
  url: string,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  headers: Record<string, string> = {},
): Promise<Data> {
  try {
    return await post(url, { documentId: idOf(document), variables }, headers);
  } catch (error) {
    if (!(error instanceof RequestError && isCode(error.errors, 'PERSISTED_QUERY_NOT_FOUND'))) throw error;
    return post(url, { query: print(document), variables }, headers);
  }
}

async function post<Data>(url: string, body: object, headers: Record<string, string>): Promise<Data> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json, application/json;q=0.9',
      ...headers,
    },
    body: JSON.stringify(body),
  });
  // JSON whatever the status: with 400, 401 and 429, errors[] says why.
  const { data, errors } = (await response.json()) as { data?: Data | null; errors?: GraphQLFormattedError[] };
  if (errors || !data) throw new RequestError(errors ?? []);
  return data;
}

/** What codegen's `persistedDocuments` adds to each document. */
function idOf(document: object): string | undefined {
  return (document as { __meta__?: { hash?: string } }).__meta__?.hash;
}
