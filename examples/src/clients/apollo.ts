import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache } from '@apollo/client';
import { SetContextLink } from '@apollo/client/link/context';
import { ErrorLink } from '@apollo/client/link/error';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { from, switchMap } from 'rxjs';

import { PREFERENCES_UPDATED, PRODUCTS, RECORD_SWIPE } from '../documents.js';
import { isCode } from '../request.js';
import type { Session } from '../session.js';
import type { Shop } from '../shop.js';
import { openSocket } from '../socket.js';

export function connect(session: Session): Shop {
  const socket = openSocket(session);
  const withToken = new SetContextLink(({ headers }) => ({
    headers: { ...headers, authorization: session.authorization },
    used: session.accessToken,
  }));
  const refreshing = new ErrorLink(({ error, operation, forward }) => {
    if (CombinedGraphQLErrors.is(error) && isCode(error.errors, 'UNAUTHENTICATED')) {
      // Retried once: an error of the second attempt reaches the caller.
      return from(session.refresh(operation.getContext().used)).pipe(switchMap(() => forward(operation)));
    }
  });
  const client = new ApolloClient({
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket),
      ApolloLink.from([refreshing, withToken, new HttpLink({ uri: session.url })]),
    ),
    cache: new InMemoryCache({
      typePolicies: {
        // Every id is global, so the cache needs no keyFields. Pages are merged by their nodes, which PRODUCTS selects;
        // for edges, relayStylePagination does that. Lists with another filter or order are cached separately.
        Query: {
          fields: {
            products: {
              keyArgs: ['search', 'filter', 'orderBy'],
              merge: (before, page, { args }) =>
                args?.after ? { ...page, nodes: [...(before?.nodes ?? []), ...page.nodes] } : page,
            },
          },
        },
      },
    }),
  });

  return {
    products: async (first, after) => {
      // This queries one page; a component shows all of them with useQuery and fetchMore.
      const { data } = await client.query({ query: PRODUCTS, variables: { first, after }, fetchPolicy: 'no-cache' });
      if (!data) throw new Error('no data');
      return data.products;
    },
    recordSwipe: async (input) => {
      // The payload's `preferences { id … }` updates every component that shows them.
      const { data } = await client.mutate({ mutation: RECORD_SWIPE, variables: { input } });
      if (!data) throw new Error('no data');
      return data.recordSwipe;
    },
    watchSwipes: (changed) => {
      const watching = client
        .subscribe({ query: PREFERENCES_UPDATED })
        .subscribe(({ data }) => data?.preferencesUpdated && changed(data.preferencesUpdated.totalSwipes));
      return () => watching.unsubscribe();
    },
    close: () => {
      client.stop();
      return socket.dispose();
    },
  };
}
