import { useEffect, useRef } from 'react';
import { useGraphiQL } from '@graphiql/react';

/** One set of headers for all tabs: GraphiQL keeps one per tab, and a token would have to be pasted into each. */
export function SharedHeaders() {
  const headerEditor = useGraphiQL((state) => state.headerEditor);
  const tabId = useGraphiQL((state) => state.tabs[state.activeTabIndex]?.id);
  const shared = useRef(null);

  useEffect(() => {
    if (!headerEditor) return undefined;
    shared.current ??= headerEditor.getValue();
    const subscription = headerEditor.onDidChangeModelContent((event) => {
      // A flush is GraphiQL replacing the text as it changes tabs; anything else is an edit.
      if (!event.isFlush) shared.current = headerEditor.getValue();
    });
    return () => subscription.dispose();
  }, [headerEditor]);

  useEffect(() => {
    if (headerEditor && headerEditor.getValue() !== shared.current) headerEditor.setValue(shared.current);
  }, [headerEditor, tabId]);

  return null;
}
