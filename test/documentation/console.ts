/** One command of a console block and what it should print. */
export interface ConsoleStep {
  readonly command: string
  readonly output: string
}

/**
 * The steps of a console block: a line that begins with `$ ` is a command, what follows is its output. A backslash at the end of a line
 * goes on with the command.
 */
export function consoleSteps(block: string): ConsoleStep[] {
  return block
    .replaceAll(/\\\n\s*/g, '')
    .split(/^\$ /m)
    .slice(1)
    .map((step) => {
      const end = step.indexOf('\n')
      return { command: step.slice(0, end).trim(), output: step.slice(end + 1).trim() }
    })
}

/** Whether `actual` is `expected`, in which an ellipsis stands for anything within a line, and alone on its line for any lines. */
export function looksLike(actual: string, expected: string): boolean {
  const lines = expected.split('\n').map((line) =>
    line.trim() === '…'
      ? '(?:.*\\n)*?'
      : `${line
          .trimEnd()
          .split('…')
          .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
          .join('.*')} *\\n`,
  )
  return new RegExp(`^${lines.join('')}$`).test(`${actual.trim()}\n`)
}
