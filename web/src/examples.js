// The tabs of a first visit, in the order in which they are meant to be run. GraphiQL titles a tab by its operation.

import affiliateLink from './examples/affiliate_link.graphql';
import affiliateLinkVariables from './examples/affiliate_link.jsonc';
import browse from './examples/browse.graphql';
import browseVariables from './examples/browse.jsonc';
import quiz from './examples/quiz.graphql';
import quizVariables from './examples/quiz.jsonc';
import recommendations from './examples/recommendations.graphql';
import recommendationsVariables from './examples/recommendations.jsonc';
import startSession from './examples/start_session.graphql';
import startSessionVariables from './examples/start_session.jsonc';
import swipe from './examples/swipe.graphql';
import swipeVariables from './examples/swipe.jsonc';

export const examples = [
  { query: browse, variables: browseVariables },
  { query: startSession, variables: startSessionVariables },
  { query: quiz, variables: quizVariables },
  { query: swipe, variables: swipeVariables },
  { query: recommendations, variables: recommendationsVariables },
  { query: affiliateLink, variables: affiliateLinkVariables },
];
