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

export function App() {
  return (
    <GraphiQL
      fetcher={fetcher}
      storage={storage}
      shouldPersistHeaders
      defaultTabs={examples}
      defaultHeaders={NO_HEADERS}
      initialVariables={isFirstVisit ? examples[0].variables : undefined}
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
