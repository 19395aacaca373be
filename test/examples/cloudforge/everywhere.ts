import { readFile } from 'node:fs/promises'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { SecretsManager } from '@aws-sdk/client-secrets-manager'
import type { SecretConfig } from '@keyturn/secrets'
import { startGcp } from '../../doubles/gcp.ts'
import { startKeyVault } from '../../doubles/key-vault.ts'
import { startKubernetes } from '../../doubles/kubernetes.ts'
import type { Providers } from './providers.ts'

const NAME = 'OPENAI_API_KEY'
const values = { [NAME]: '{value}' }

/** Every place where CloudForge keeps a secret somewhere, beside 1Password and Fly: their configuration, and what stands there. */
export async function startEverywhere({ aws, entra }: Providers, file: string) {
  const isToken = (token: string) => entra.isToken(token, 'https://vault.azure.net')
  const [gcp, cluster, keyVault] = await Promise.all([
    startGcp(),
    startKubernetes(),
    startKeyVault({ isToken, authority: `${entra.origin}/${entra.tenant}` }),
  ])
  const trusted = getCACertificates('default')
  setDefaultCACertificates([...trusted, keyVault.ca])
  gcp.secrets.make('cloudforge')
  cluster.createSecret('cloudforge', 'api', { REGION: 'eu' })
  const inAws = { region: 'eu-central-1', endpoint: aws.endpoint }
  const [accessKeyId = '', secretAccessKey = ''] = [aws.env.AWS_ACCESS_KEY_ID, aws.env.AWS_SECRET_ACCESS_KEY]
  const manager = new SecretsManager({ ...inAws, credentials: { accessKeyId, secretAccessKey } })
  await manager.createSecret({ Name: 'cloudforge/api', SecretString: '{"REGION":"eu"}' })
  const credentials = { accessKeyId: { env: 'AWS_ACCESS_KEY_ID' }, secretAccessKey: { env: 'AWS_SECRET_ACCESS_KEY' } }
  const login = { tenant: entra.tenant, clientId: entra.admin.appId, clientSecret: { env: 'ENTRA_ADMIN_SECRET' }, login: entra.origin }
  const google = { admin: { env: 'GCP_ADMIN_KEY' }, endpoint: gcp.origin, token: `${gcp.origin}/token` }
  const stores: NonNullable<SecretConfig['stores']> = [
    { store: 'env-file', path: file, values },
    { store: 'aws-secrets-manager', ...inAws, credentials, secret: 'cloudforge/api', values },
    { store: 'azure-key-vault', vault: keyVault.origin, ...login, secret: 'cloudforge-api', values },
    { store: 'gcp-secret-manager', project: gcp.project, ...google, secret: 'cloudforge', values },
    { store: 'kubernetes', namespace: 'cloudforge', name: 'api', endpoint: cluster.origin, token: { env: 'K8S_TOKEN' }, values },
  ]
  const member = (document: string | null | undefined): unknown => JSON.parse(document ?? '{}')[NAME]
  return {
    stores,
    cluster,
    env: { GCP_ADMIN_KEY: gcp.adminKeyFile, K8S_TOKEN: cluster.token },
    /** What consumers read, place by place. */
    read: async (): Promise<unknown[]> => [
      (await readFile(file, 'utf8')).match(/^OPENAI_API_KEY=(.*)$/m)?.[1],
      member((await manager.getSecretValue({ SecretId: 'cloudforge/api' })).SecretString),
      member(keyVault.value('cloudforge-api')),
      member(gcp.secrets.value('cloudforge', gcp.secrets.states('cloudforge').length)),
      cluster.secret('cloudforge', 'api')[NAME],
    ],
    close: async () => {
      setDefaultCACertificates(trusted)
      manager.destroy()
      for (const each of [gcp, cluster, keyVault]) await each.stop()
    },
  }
}
