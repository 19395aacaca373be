/** The tables of a document that follow a comment of this name, each row as its cells. */
export function tablesIn(document: string, comment: RegExp): [name: string, rows: string[][]][] {
  return [...document.matchAll(new RegExp(`<!-- ${comment.source} -->\\n\\|.*\\n\\|-.*\\n((?:\\|.*\\n)+)`, 'g'))].map(
    ([, name = '', rows = '']) => [
      name,
      rows
        .trim()
        .split('\n')
        .map((row) =>
          row
            .split('|')
            .slice(1, -1)
            .map((cell) => cell.trim()),
        ),
    ],
  )
}

export const unquoted = (cell: string) => cell.replaceAll('`', '')
