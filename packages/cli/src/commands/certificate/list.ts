import { type Call, print } from '../../call.ts'
import { exit } from '../../exit.ts'
import { table } from '../../screens/words.ts'
import { withSession } from '../../session.ts'

/** Lists the certificates that the database keeps, the newest first. */
export default function list(call: Call): Promise<number> {
  return withSession(call, 'record', async ({ keyturn }) => {
    const found = (await keyturn.certificates()).map(({ id, subject, certificate: { claim, signer } }) => ({
      id,
      subject,
      issuedAt: String(claim.issuedAt),
      complete: claim.complete === true,
      signer,
    }))
    const rows = found.map(({ id, subject, issuedAt, complete, signer }) => [id, subject, issuedAt, complete ? 'yes' : 'no', signer])
    const words = rows.length === 0 ? 'There is no certificate.' : table(['id', 'of', 'issued', 'complete', 'signer'], rows)
    print(call, { certificates: found }, words)
    return exit.done
  })
}
