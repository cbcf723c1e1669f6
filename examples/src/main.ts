// node build/main.js CLIENT URL: the same steps with each of the clients. Prints the result as JSON.
import { randomUUID } from 'node:crypto';

import type { Shop } from './shop.js';
import { Session } from './session.js';

const CLIENTS: Record<string, () => Promise<{ connect(session: Session): Shop }>> = {
  apollo: () => import('./clients/apollo.js'),
  'client-preset': () => import('./clients/client-preset.js'),
  'graphql-request': () => import('./clients/graphql-request.js'),
  'graphql-ws': () => import('./clients/graphql-ws.js'),
  urql: () => import('./clients/urql.js'),
};

const [name = '', url = 'http://127.0.0.1:8000/graphql'] = process.argv.slice(2);
const load = CLIENTS[name];
if (!load) throw new Error(`node build/main.js ${Object.keys(CLIENTS).join(' | ')} [URL]`);
const { connect } = await load();
const session = await Session.start(url);
const shop = connect(session);

const found = await allProducts(shop);
const first = found.ids[0] ?? '';
const swiped = await shop.recordSwipe({ productId: first, direction: 'RIGHT', clientSwipeId: randomUUID() });
// Expected outcomes are no errors: nothing is thrown, and `field` says which input to mark.
const refused = await shop.recordSwipe({ productId: 'nothing', direction: 'RIGHT', clientSwipeId: randomUUID() });
await session.untilExpired();
const before = session.refreshes;
// Several at once, with an expired token: the tokens are refreshed once, and all of them are answered.
const [afterwards] = await Promise.all([
  shop.recordSwipe({ productId: found.ids[1] ?? '', direction: 'UP', clientSwipeId: randomUUID() }),
  shop.products(1, null),
  shop.products(2, null),
]);

const refreshes = session.refreshes - before;
const isTold = shop.watchSwipes ? await watched(shop.watchSwipes) : undefined;

console.log(
  JSON.stringify({
    pages: found.pages,
    products: new Set(found.ids).size,
    totalCount: found.totalCount,
    swipedIsFirst: swiped.swipe?.product.id === first,
    userErrors: refused.userErrors.map(({ code, field }) => ({ code, field })),
    refreshes,
    totalSwipes: afterwards.preferences?.totalSwipes,
    isTold,
    lostSockets: session.lostSockets,
  }),
);
await shop.close?.();

/** Listens for changes while swiping, past the expiry of the first token; returns whether events arrived after it. */
async function watched(watch: NonNullable<Shop['watchSwipes']>) {
  let latest = 0;
  const stop = watch((totalSwipes) => (latest = totalSwipes));
  await untilTold();
  await session.untilExpired(2000); // the server would have closed the socket, had it not been sent a newer token
  const atExpiry = latest;
  await untilTold();
  stop();
  return latest > atExpiry;

  /** There is no message that a subscription has started, so this swipes until an event arrives. */
  async function untilTold() {
    const before = latest;
    for (let next = latest; latest === before; next += 1) {
      await shop.recordSwipe({ productId: found.ids[next + 2] ?? '', direction: 'RIGHT', clientSwipeId: randomUUID() });
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

/** Follows the cursors to the end. */
async function allProducts(shop: Shop) {
  const ids: string[] = [];
  let pages = 0;
  let after: string | null = null;
  for (;;) {
    const { nodes, pageInfo, totalCount } = await shop.products(100, after);
    ids.push(...nodes.map(({ id }) => id));
    pages += 1;
    if (!pageInfo.hasNextPage) return { ids, pages, totalCount };
    after = pageInfo.endCursor ?? null;
  }
}
