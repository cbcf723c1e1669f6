import type { ResultOf } from '@graphql-typed-document-node/core';

import type { PRODUCTS, RECORD_SWIPE } from './documents.js';
import type { SwipeInput } from './generated/graphql.js';

export type ProductPage = ResultOf<typeof PRODUCTS>['products'];
export type RecordedSwipe = ResultOf<typeof RECORD_SWIPE>['recordSwipe'];

/** What each client implements, for one session; expired tokens are refreshed automatically. */
export interface Shop {
  products(first: number, after: string | null): Promise<ProductPage>;
  recordSwipe(input: SwipeInput): Promise<RecordedSwipe>;
  /** Calls `changed` with the number of swipes whenever preferences change; returns a function that stops it. Only for
   * clients with a socket. */
  watchSwipes?(changed: (totalSwipes: number) => void): () => void;
  close?(): void | Promise<void>;
}
