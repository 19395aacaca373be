import type { Preset } from '@keyturn/presets'
import { section, table } from './words.ts'

/** What Keyturn knows of an application. */
export function presetScreen({ application, name, tested, source, key, mode, online, fields, alsoUsedFor, notAffected }: Preset): string {
  const rows = Object.entries(fields).map(([field, { column, writes, where, optional }]) => [
    field,
    column,
    typeof writes === 'string' ? writes : writes.codec,
    [
      ...Object.entries(where ?? {}).map(([member, value]) => `where ${member} is ${String(value)}`),
      ...(optional ? ['may be absent'] : []),
    ].join(', '),
  ])
  return [
    `${application}: its key is ${key.env} (${key.rule}). Tested with ${tested}.`,
    `Read from ${source.repository} at ${source.commit}.`,
    '',
    table(['field', 'place', 'format', ''], rows),
    ...section('To know', [key.note, online === true ? `mode ${mode}` : `mode ${mode}; not online: ${online}`]),
    ...section(
      'What else hangs on the same key',
      alsoUsedFor.map(({ what, becomes }) => `${what}: ${becomes}`),
    ),
    ...section('What does not', notAffected),
    ...section('What to do next', [`keyturn plan --preset ${name} --database env:DATABASE_URL --old-env OLD_KEY --new-env NEW_KEY`]),
  ].join('\n')
}
