import { createClient, type Client } from 'graphql-ws';
import WebSocket from 'ws';

import type { Session } from './session.js';

/** A WebSocket that speaks graphql-transport-ws, opened when it is first needed.
 *
 * The server closes it with 4403 when the token expires. graphql-ws then connects anew, asks here for a token once more,
 * and goes on with what was subscribed to. */
export function openSocket(session: Session): Client {
  return createClient({
    url: session.url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket, // browsers have their own, and so does Node.js 22
    connectionParams: async () => {
      if (session.isExpired) await session.refresh();
      return { authorization: session.authorization };
    },
  });
}
