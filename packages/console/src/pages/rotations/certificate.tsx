import { useQuery } from '@tanstack/react-query'
import type { Rotation } from '../../domain.ts'
import { Button } from '../../parts/button.tsx'
import { Row } from '../../parts/page.tsx'
import { Empty, Loaded, Loading } from '../../parts/states.tsx'
import { When } from '../../parts/when.tsx'
import { queries } from '../../queries.ts'
import type { Certificate } from '../../record.ts'
import { claimsOf } from '../../words/claims.ts'
import { isCertifying } from '../../words/states.ts'

/** The signed result, and what it claims in words. */
export function CertificateRow({ rotation }: { rotation: Rotation }) {
  const { id, hasCertificate } = rotation
  const certificate = useQuery({ ...queries.certificate(id), enabled: hasCertificate })
  return (
    <Row title="Certificate" note="Signed with the operator's key. It can be checked without this server.">
      {hasCertificate ? (
        <Loaded of={certificate} what="certificate">
          {(known) => <Ready certificate={known} id={id} />}
        </Loaded>
      ) : isCertifying(rotation) ? (
        <Loading what="certificate" />
      ) : (
        <Empty title="There is no certificate">
          The server has no signing key. Give it one (<code>signing</code> in the configuration,{' '}
          <code>keyturn keygen --format ed25519</code>), then <code>keyturn resume</code> makes the certificate.
        </Empty>
      )}
    </Row>
  )
}

function Ready({ certificate, id }: { certificate: Certificate; id: string }) {
  const { complete, signer, issuedAt, claim, text } = certificate
  return (
    <div className="border border-edge bg-sheet p-5">
      <p className="text-lead font-semibold">
        {complete ? 'Complete: nothing was lost and nothing was left behind.' : 'Not complete: something remains.'}
      </p>
      <ul className="mt-3 list-disc space-y-1 pl-5 marker:text-soft">
        {claimsOf(claim).map((each) => (
          <li key={each}>{each}</li>
        ))}
      </ul>
      <div className="mt-4 flex flex-wrap items-center justify-between gap-4 border-t border-line pt-4 text-fine text-soft">
        <span>
          Signed <When at={issuedAt} /> by <code>{signer}</code>
        </span>
        <Button onClick={() => save(`keyturn-certificate-${id}.json`, text)}>Save the certificate</Button>
      </div>
    </div>
  )
}

function save(name: string, text: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  link.download = name
  link.click()
  URL.revokeObjectURL(link.href)
}
