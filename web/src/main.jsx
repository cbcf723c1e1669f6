import { createRoot } from 'react-dom/client';
import 'graphiql/style.css';
import './page.css';
import { App } from './App.jsx';

// Monaco asks for its workers here. Resolved against this module, so they follow it wherever it is served.
globalThis.MonacoEnvironment = {
  getWorker(_id, label) {
    const name = label === 'json' || label === 'graphql' ? label : 'editor';
    return new Worker(new URL(`./workers/${name}.js`, import.meta.url), { name });
  },
};

createRoot(document.getElementById('graphiql')).render(<App />);
