// The operations of these examples. graphql-codegen reads the texts and generates their types from ../schema.graphql.
import { graphql } from './generated/gql.js';

export const START_SESSION = graphql(`
  mutation StartSession {
    startSession(input: { landingPage: "/examples" }) {
      accessToken
      refreshToken
      expiresAt
      userErrors { code message }
    }
  }
`);

export const REFRESH_SESSION = graphql(`
  mutation RefreshSession($refreshToken: String!) {
    refreshSession(input: { refreshToken: $refreshToken }) {
      accessToken
      refreshToken
      expiresAt
      userErrors { code message }
    }
  }
`);

export const PRODUCTS = graphql(`
  query Products($first: Int!, $after: String) {
    products(first: $first, after: $after, orderBy: NAME) {
      nodes { id name price { amount currencyCode } }
      pageInfo { hasNextPage endCursor }
      totalCount
    }
  }
`);

export const RECORD_SWIPE = graphql(`
  mutation RecordSwipe($input: SwipeInput!) {
    recordSwipe(input: $input) {
      swipe { id strength product { id } }
      preferences { id totalSwipes }
      userErrors { code message field }
    }
  }
`);

export const PREFERENCES_UPDATED = graphql(`
  subscription PreferencesUpdated {
    preferencesUpdated { id totalSwipes }
  }
`);
