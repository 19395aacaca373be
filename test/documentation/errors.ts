import { type ErrorClass, errorCodes } from '../../packages/core/src/errors.ts'

const meanings: Record<ErrorClass, readonly [name: string, meaning: string]> = {
  usage: ['UsageError', 'The call, the configuration or the plan is wrong. Nothing was attempted.'],
  key: ['KeyError', 'A key is missing, malformed, stale or refused.'],
  decrypt: ['DecryptError', 'A value does not open. There is one wording for all causes, so that an attacker learns nothing from it.'],
  conflict: ['ConflictError', 'Somebody else was first, or something stands in the way. Look, then try again.'],
  service: ['ServiceError', 'Something outside failed. Try again later.'],
}

/** docs/errors.md, from the table of codes. */
export function errorsDocument(): string {
  const sections = Object.entries(meanings).map(([kind, [name, meaning]]) => {
    const rows = Object.entries(errorCodes)
      .filter(([, [of]]) => of === kind)
      .map(([code, [, sentence]]) => `| \`${code}\` | ${sentence.replaceAll('%s', '…').replaceAll('|', '\\|')} |`)
    return `## ${name}\n\n${meaning}\n\n| code | sentence |\n|---|---|\n${rows.join('\n')}\n`
  })
  return `# Errors

Written by \`npm run docs\` from the table in \`packages/core/src/errors.ts\`.

Every error that Keyturn raises on purpose is a \`KeyturnError\` with a \`code\`. Codes are stable: test them, not the sentences. Its
class says what the caller can do. An ellipsis stands for a name or a count; never for a value, a key or a connection string.

${sections.join('\n')}`
}
