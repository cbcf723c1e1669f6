import { Client, fetchExchange, subscriptionExchange, type AnyVariables, type OperationResult } from '@urql/core';
import { authExchange } from '@urql/exchange-auth';

import { PREFERENCES_UPDATED, PRODUCTS, RECORD_SWIPE } from '../documents.js';
import { isCode } from '../request.js';
import type { Session } from '../session.js';
import type { Shop } from '../shop.js';
import { openSocket } from '../socket.js';

export function connect(session: Session): Shop {
  const socket = openSocket(session);
  const client = new Client({
    url: session.url,
    preferGetMethod: false,
    exchanges: [
      // In an app, put cacheExchange before it.
      authExchange(async (utils) => ({
        addAuthToOperation: (operation) => utils.appendHeaders(operation, { authorization: session.authorization }),
        didAuthError: (error) => isCode(error.graphQLErrors, 'UNAUTHENTICATED'),
        refreshAuth: () => session.refresh(),
      })),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables }) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
        }),
      }),
    ],
  });

  return {
    products: async (first, after) => dataOf(await client.query(PRODUCTS, { first, after })).products,
    recordSwipe: async (input) => dataOf(await client.mutation(RECORD_SWIPE, { input })).recordSwipe,
    watchSwipes: (changed) =>
      client
        .subscription(PREFERENCES_UPDATED, {})
        .subscribe(({ data }) => data?.preferencesUpdated && changed(data.preferencesUpdated.totalSwipes)).unsubscribe,
    close: () => socket.dispose(),
  };
}

/** urql returns errors next to the data. */
function dataOf<Data, Variables extends AnyVariables>({ data, error }: OperationResult<Data, Variables>): Data {
  if (error || !data) throw error ?? new Error('no data');
  return data;
}
