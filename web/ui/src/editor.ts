import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from '@codemirror/commands';
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from '@codemirror/language';
import { lintKeymap } from '@codemirror/lint';
import { EditorState, Prec } from '@codemirror/state';
import { drawSelection, EditorView, keymap, placeholder } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { newCompleteStrategy, PromQLExtension } from '@prometheus-io/codemirror-promql';
import { headers, prefix } from './api';
import { quoted } from './utf8';

// The PromQL editor: completion of metrics, labels, values and functions from the server; marks of errors.

const colors = HighlightStyle.define([
  { tag: tags.name, color: 'var(--code-name)' },
  { tag: [tags.number, tags.literal], color: 'var(--code-number)' },
  { tag: tags.string, color: 'var(--code-string)' },
  { tag: [tags.keyword, tags.modifier, tags.function(tags.variableName)], color: 'var(--code-keyword)' },
  { tag: tags.labelName, color: 'var(--code-label)' },
  { tag: [tags.operator, tags.punctuation], color: 'var(--muted)' },
  { tag: tags.comment, color: 'var(--muted)', fontStyle: 'italic' },
  { tag: tags.invalid, color: 'var(--bad)' },
]);

export interface Editor {
  dom: HTMLElement;
  text: () => string;
  set: (text: string) => void;
  focus: () => void;
  destroy: () => void;
}

/** newEditor makes an editor; run is called by Enter (Shift-Enter makes a line). */
export function newEditor(text: string, run: () => void): Editor {
  const names = newCompleteStrategy({
    remote: {
      url: '',
      apiPrefix: prefix,
      httpMethod: 'POST',
      fetchFn: (input, init) => fetch(input, { ...init, headers: { ...(init?.headers as Record<string, string>), ...headers() } }),
      cache: { maxAge: 60_000 },
    },
  });
  const promql = new PromQLExtension().setComplete({
    completeStrategy: {
      promQL: async (at) => {
        const found = await names.promQL(at);
        if (!found) return found;
        const before = at.state.sliceDoc(0, found.from);
        return { ...found, options: found.options.map((o) => (o.type === 'constant' && o.apply === undefined ? { ...o, apply: quoted(o.label, before) } : o)) };
      },
      destroy: () => names.destroy?.(),
    },
  });
  const view = new EditorView({
    state: EditorState.create({
      doc: text,
      extensions: [
        history(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ icons: false }),
        syntaxHighlighting(colors),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ 'aria-label': 'PromQL expression' }),
        placeholder('PromQL expression (Enter runs it, Shift-Enter makes a line)'),
        promql.asExtension(),
        // After the completion's own Enter, before that of the others.
        Prec.high(keymap.of([...completionKeymap.filter((k) => k.key === 'Enter'), { key: 'Enter', run: () => (run(), true) }, { key: 'Shift-Enter', run: insertNewlineAndIndent }])),
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
      ],
    }),
  });
  return {
    dom: view.dom,
    text: () => view.state.doc.toString(),
    set: (t) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: t } }),
    focus: () => view.focus(),
    destroy: () => {
      promql.destroy();
      view.destroy();
    },
  };
}
