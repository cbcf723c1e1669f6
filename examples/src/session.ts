import type { ResultOf } from '@graphql-typed-document-node/core';

import { REFRESH_SESSION, START_SESSION } from './documents.js';
import { request } from './request.js';

interface Tokens {
  accessToken: string;
  refreshToken: string;
  expiresAt: number; // milliseconds, as Date.now() counts
}

type Answer = ResultOf<typeof START_SESSION>['startSession'] | ResultOf<typeof REFRESH_SESSION>['refreshSession'];

/** An anonymous session and its tokens. An account's is the same with signIn in place of startSession. */
export class Session {
  refreshes = 0; // both are for demonstration
  lostSockets = 0;
  private refreshing: Promise<void> | undefined;

  private constructor(
    readonly url: string,
    private tokens: Tokens,
  ) {}

  static async start(url: string): Promise<Session> {
    const { startSession } = await request(url, START_SESSION, {});
    return new Session(url, tokensOf(startSession));
  }

  get accessToken(): string {
    return this.tokens.accessToken;
  }

  get authorization(): string {
    return `Bearer ${this.tokens.accessToken}`;
  }

  get isExpired(): boolean {
    return Date.now() >= this.tokens.expiresAt;
  }

  /** For demonstration: waits until this access token expired so many milliseconds ago. An app would just continue, and
   * refresh when the server says so. */
  async untilExpired(since = 0): Promise<void> {
    const end = this.tokens.expiresAt + since;
    while (Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 100));
  }

  /** Gets new tokens, once for all concurrent callers. After a lost response, or in a second tab, the same refresh token
   * works for some more seconds; after that, using it again ends the session.
   * `stale` is the access token that was refused; does nothing if there is a newer one already. */
  refresh(stale = this.accessToken): Promise<void> {
    if (stale !== this.accessToken) return Promise.resolve();
    this.refreshing ??= this.exchange().finally(() => (this.refreshing = undefined));
    return this.refreshing;
  }

  private async exchange(): Promise<void> {
    // Without the expired access token, which would be answered 401.
    const { refreshSession } = await request(this.url, REFRESH_SESSION, { refreshToken: this.tokens.refreshToken });
    this.tokens = tokensOf(refreshSession);
    this.refreshes += 1;
  }
}

function tokensOf({ accessToken, refreshToken, expiresAt, userErrors }: Answer): Tokens {
  if (!accessToken || !refreshToken || !expiresAt) throw new Error(userErrors[0]?.message ?? 'no tokens');
  return { accessToken, refreshToken, expiresAt: Date.parse(expiresAt) };
}
