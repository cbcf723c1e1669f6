import { GraphiQL } from 'graphiql';
import { DemoSession } from './DemoSession.jsx';
import { examples } from './examples.js';
import { fetcher } from './fetcher.js';
import { FilledVariables } from './FilledVariables.jsx';
import { SharedHeaders } from './SharedHeaders.jsx';
import { storage } from './storage.js';

const NO_HEADERS = '// {"Authorization": "Bearer …"}\n';

// GraphiQL fills every tab from `defaultTabs` except the variables of the first one on the very first visit.
const isFirstVisit = storage.getItem('graphiql:tabState') === null;

// ?query= and &variables= of the address: GraphiQL opens a tab for them, or the one that has them already. On the very
// first visit it takes its tabs from `defaultTabs` alone.
const address = new URLSearchParams(location.search);
const linked = address.has('query') && { query: address.get('query'), variables: address.get('variables') ?? '' };

export function App() {
  return (
    <GraphiQL
      fetcher={fetcher}
      storage={storage}
      shouldPersistHeaders
      defaultTabs={linked ? [linked, ...examples] : examples}
      defaultHeaders={NO_HEADERS}
      initialQuery={linked?.query}
      initialVariables={linked?.variables ?? (isFirstVisit ? examples[0].variables : undefined)}
      defaultEditorToolsVisibility="variables"
      inputValueDeprecation
      schemaDescription
    >
      <GraphiQL.Logo>
        <DemoSession />
        Aclue
      </GraphiQL.Logo>
      <SharedHeaders />
      <FilledVariables />
    </GraphiQL>
  );
}
