// What a comment at the end of a line must begin with to be a result: a literal. Anything else is prose.
const result =
  /^(?<indent>\s*)(?:(?<declaration>(?:const|let) (?<name>\w+)(?::[^=]+)? = )?(?<expression>\S.*?));?\s+\/\/ (?<claim>throws ERR_\w+|['"[{\d-].*|true|false|null|undefined)$/

/**
 * Turns the results that an example claims into checks: `f(1) // 'x'`, `const a = f(1) // 2` and `f(2) // throws ERR_KEY_FORMAT`.
 * The call must stand on one line. Lines stay where they are.
 */
export function withChecks(code: string): string {
  return code
    .split('\n')
    .map((line) => {
      const { indent = '', declaration, name, expression = '', claim = '' } = result.exec(line)?.groups ?? {}
      if (claim === '') return line
      if (claim.startsWith('throws ')) return `${indent}await claims.throws(async () => ${expression}, '${claim.slice('throws '.length)}')`
      if (!isLiteral(claim)) return line
      if (declaration !== undefined) return `${indent}${declaration}${expression}; claims.equal(${name}, ${claim})`
      return `${indent}claims.equal(${expression}, ${claim})`
    })
    .join('\n')
}

function isLiteral(text: string): boolean {
  try {
    new Function(`return (${text})`)
    return true
  } catch {
    return false
  }
}

/** The examples in the docstrings of a file. */
export function docstringExamples(text: string): string[] {
  return [...text.matchAll(/\/\*\*([\s\S]*?)\*\//g)].flatMap(([, comment = '']) => {
    const plain = comment.replaceAll(/^[ \t]*\* ?/gm, '')
    return plain
      .split(/^@/m)
      .slice(1)
      .filter((tag) => tag.startsWith('example'))
      .map((tag) => tag.slice('example'.length).trim())
  })
}

/** The fenced blocks of a document, each with the comment before it: `<!-- example: run app.ts -->`. */
export function documentBlocks(text: string): { readonly language: string; readonly code: string; readonly example: string | undefined }[] {
  const block = /(?:^<!-- example: ([^\n]*?) -->\n+)?^```(\w*)[^\n]*\n([\s\S]*?)^```$/gm
  return [...text.matchAll(block)].map(([, example, language = '', code = '']) => ({ language, code, example }))
}

/** Names that a file exports and that can be called or read, except its default export. */
export function exportedNames(text: string): string[] {
  return [...text.matchAll(/^export (?:async )?(?:function|class|const) (\w+)/gm)].map(([, name = '']) => name)
}

/** The name of a file's default export. */
export function defaultName(text: string): string | undefined {
  return /^export default (?:async )?(?:function|class) (\w+)/m.exec(text)?.[1]
}

/** Whether code makes or imports something of this name itself. */
export function declares(code: string, name: string): boolean {
  const alone = `(?:const|let|function|class)\\s+${name}\\b`
  const among = `(?:(?:const|let)\\s*[{[]|import\\b)[^'"=]*\\b${name}\\b[^'"=]*(?:=|from)`
  return new RegExp(`\\b(?:${alone}|${among})`).test(code)
}
