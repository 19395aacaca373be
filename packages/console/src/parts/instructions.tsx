import type { ReactNode } from 'react'

/** Instructions in the little Markdown that tasks are written in: lines, numbers, emphasis and code. Never HTML. */
export function Instructions({ text }: { text: string }) {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  return (
    <div className="max-w-[44rem] space-y-1.5">
      {lines.map((line, n) => {
        const [, number, rest = line] = /^\s*(\d+[.)]|[-*])\s+(.*)$/.exec(line) ?? []
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines of one text keep their order
          <p key={n} className={number === undefined ? '' : 'grid grid-cols-[2rem_minmax(0,1fr)]'}>
            {number === undefined ? null : <span className="text-soft">{/\d/.test(number) ? number : '•'}</span>}
            <span>{inline(rest)}</span>
          </p>
        )
      })}
    </div>
  )
}

function inline(text: string): ReactNode[] {
  return text.split(/(\*\*[^*]+\*\*|`[^`]+`)/).map((piece, n) => {
    const key = `${n}`
    if (piece.startsWith('**') && piece.endsWith('**') && piece.length > 4) return <strong key={key}>{piece.slice(2, -2)}</strong>
    if (piece.startsWith('`') && piece.endsWith('`') && piece.length > 2) return <code key={key}>{piece.slice(1, -1)}</code>
    return piece
  })
}
