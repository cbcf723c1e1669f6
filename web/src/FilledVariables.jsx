import { useEffect } from 'react';
import { useGraphiQL } from '@graphiql/react';
import { fill, onLearned } from './placeholders.js';

/** Fills the placeholders of the open tab's variables, when it opens and when an answer brings what is missing. */
export function FilledVariables() {
  const variableEditor = useGraphiQL((state) => state.variableEditor);
  const tabId = useGraphiQL((state) => state.tabs[state.activeTabIndex]?.id);

  useEffect(() => {
    if (!variableEditor) return undefined;
    const apply = () => {
      const text = variableEditor.getValue();
      const filled = fill(text);
      if (filled !== text) variableEditor.setValue(filled);
    };
    apply();
    return onLearned(apply);
  }, [variableEditor, tabId]);

  return null;
}
