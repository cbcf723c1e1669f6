// graphql-codegen's client preset needs no client library: typed documents, fetch, and trusted documents (request.ts).
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';

import { PRODUCTS, RECORD_SWIPE } from '../documents.js';
import { isCode, request, RequestError } from '../request.js';
import type { Session } from '../session.js';
import type { Shop } from '../shop.js';

export function connect(session: Session): Shop {
  /** Sends a request, and retries once with new tokens if the current ones have expired. */
  async function ask<Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables): Promise<Data> {
    const used = session.accessToken;
    try {
      return await request(session.url, document, variables, { authorization: session.authorization });
    } catch (error) {
      if (!(error instanceof RequestError && isCode(error.errors, 'UNAUTHENTICATED'))) throw error;
      await session.refresh(used);
      return request(session.url, document, variables, { authorization: session.authorization });
    }
  }

  return {
    products: async (first, after) => (await ask(PRODUCTS, { first, after })).products,
    recordSwipe: async (input) => (await ask(RECORD_SWIPE, { input })).recordSwipe,
  };
}
