import type { Leak } from '@keyturn/secrets'
import { oneLine } from '../printable.ts'
import { section, table } from './words.ts'

/** What somebody else may have, and what mends it. */
export function leakScreen({ subject, opens, mends, exposed, unknown }: Leak): string {
  const of =
    subject.kind === 'secret'
      ? `Secret "${subject.secret}"`
      : `Keyring "${subject.keyring}", ${subject.versions.join(', ') || 'no version that opens anything'}`
  const rows = opens.map(({ what, name, risk, owner, values, sentence }) => [what, name, risk, owner ?? '', values ?? '', sentence])
  return [
    oneLine(`${of}: ${exposed.length === 0 ? 'nothing is exposed any more, as far as Keyturn can see.' : 'exposed.'}`),
    '',
    rows.length === 0 ? '  It opens nothing that Keyturn knows.' : table(['what', 'name', 'risk', 'owner', 'values', ''], rows),
    ...section('Still exposed', exposed),
    ...section(
      'What mends it, in this order',
      mends.flatMap(({ command, why }, index) => [`${index + 1}. ${command ?? why}`, ...(command === null ? [] : [`   ${why}`])]),
    ),
    ...section('What Keyturn cannot see', unknown),
    '',
    'Nothing was changed.',
  ].join('\n')
}
