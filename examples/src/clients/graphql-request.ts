import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { ClientError, GraphQLClient } from 'graphql-request';

import { PRODUCTS, RECORD_SWIPE } from '../documents.js';
import { isCode } from '../request.js';
import type { Session } from '../session.js';
import type { Shop } from '../shop.js';

export function connect(session: Session): Shop {
  const client = new GraphQLClient(session.url, { headers: () => ({ authorization: session.authorization }) });

  /** graphql-request does not know tokens: a request that was refused is retried once with new ones. */
  async function ask<Data, Variables extends object>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): Promise<Data> {
    const used = session.accessToken;
    try {
      return await client.request<Data>(document, variables);
    } catch (error) {
      if (!(error instanceof ClientError && isCode(error.response.errors ?? [], 'UNAUTHENTICATED'))) throw error;
      await session.refresh(used);
      return client.request<Data>(document, variables);
    }
  }

  return {
    products: async (first, after) => (await ask(PRODUCTS, { first, after })).products,
    recordSwipe: async (input) => (await ask(RECORD_SWIPE, { input })).recordSwipe,
  };
}
