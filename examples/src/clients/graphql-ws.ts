// Everything over one WebSocket: graphql-transport-ws carries queries and mutations as well as subscriptions.
import type { ResultOf, TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print } from 'graphql';

import { PREFERENCES_UPDATED, PRODUCTS, RECORD_SWIPE } from '../documents.js';
import { RequestError } from '../request.js';
import type { Session } from '../session.js';
import type { Shop } from '../shop.js';
import { openSocket } from '../socket.js';

export function connect(session: Session): Shop {
  const socket = openSocket(session);

  /** The first and only answer of a query or a mutation. */
  async function ask<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): Promise<Data> {
    const results = socket.iterate<Data>({ query: print(document), variables });
    for await (const { data, errors } of results) {
      if (errors || !data) throw new RequestError(errors ?? []);
      return data;
    }
    throw new Error('no answer');
  }

  return {
    products: async (first, after) => (await ask(PRODUCTS, { first, after })).products,
    recordSwipe: async (input) => (await ask(RECORD_SWIPE, { input })).recordSwipe,
    watchSwipes: (changed) =>
      socket.subscribe<ResultOf<typeof PREFERENCES_UPDATED>>(
        { query: print(PREFERENCES_UPDATED) },
        {
          next: ({ data }) => data?.preferencesUpdated && changed(data.preferencesUpdated.totalSwipes),
          error: console.error,
          complete: () => {},
        },
      ),
    close: () => socket.dispose(),
  };
}
