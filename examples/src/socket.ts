import { createClient, MessageType, type Client } from 'graphql-ws';
import WebSocket from 'ws';

import type { Session } from './session.js';

/** A WebSocket that speaks graphql-transport-ws, opened when it is first needed.
 *
 * The server closes it with 4403 when its token expires, so a newer one is sent in time, in a `ping`. If that failed (on
 * a suspended laptop), graphql-ws reconnects, gets another token here, and restores the subscriptions. */
export function openSocket(session: Session): Client {
  let socket: WebSocket;
  let sent = ''; // the token that the server knows this socket by
  let renewal: ReturnType<typeof setTimeout> | undefined;

  /** The server says when the token expires, in seconds: in its `connection_ack` and in each `pong`. */
  function renewBefore(expiresAt: unknown): void {
    if (typeof expiresAt !== 'number') return; // no token, or the pong of another ping
    clearTimeout(renewal);
    renewal = setTimeout(() => renew().catch(console.error), 0.75 * (expiresAt * 1000 - Date.now()));
  }

  async function renew(): Promise<void> {
    await session.refresh(sent); // does nothing if another caller has refreshed it already
    sent = session.accessToken;
    socket.send(JSON.stringify({ type: MessageType.Ping, payload: { authorization: session.authorization } }));
  }

  return createClient({
    url: session.url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket, // browsers have their own, and so does Node.js 22
    connectionParams: async () => {
      if (session.isExpired) await session.refresh();
      sent = session.accessToken;
      return { authorization: session.authorization };
    },
    on: {
      connected: (opened, payload) => {
        socket = opened as WebSocket;
        renewBefore(payload?.expiresAt);
      },
      pong: (_, payload) => renewBefore(payload?.expiresAt),
      closed: (event) => {
        clearTimeout(renewal);
        if ((event as WebSocket.CloseEvent).code === 4403) session.lostSockets += 1;
      },
    },
  });
}
