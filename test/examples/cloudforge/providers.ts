import { randomBytes } from 'node:crypto'
import { startAnthropic } from '../../doubles/anthropic.ts'
import { startAws } from '../../doubles/aws/aws.ts'
import { startEntra } from '../../doubles/entra.ts'
import { startFly } from '../../doubles/fly.ts'
import { startOkta } from '../../doubles/okta.ts'
import { startOnePassword } from '../../doubles/one-password.ts'
import { startOpenAi } from '../../doubles/openai.ts'
import { startPagerDuty } from '../../doubles/pagerduty.ts'
import { startSlack } from '../../doubles/slack.ts'
import { startGateway } from './gateway.ts'

/** Labels of the fields of each item in the vault. */
const items: { readonly [title: string]: readonly string[] } = {
  'jwt-signing-key': ['credential'],
  postgres: ['username', 'password'],
  redis: ['username', 'password'],
  anthropic: ['credential'],
  openai: ['credential'],
  okta: ['credential'],
  entra: ['credential'],
  aws: ['username', 'credential'],
}

export type Providers = Awaited<ReturnType<typeof startProviders>>

/** Everybody whom CloudForge depends on, as doubles, and what it has from each before its first rotation. */
export async function startProviders() {
  const [fly, onePassword, anthropic, openai, okta, entra, aws, slack, pagerDuty] = await Promise.all([
    startFly(),
    startOnePassword(),
    startAnthropic(),
    startOpenAi(),
    startOkta(),
    startEntra(),
    startAws(),
    startSlack(),
    startPagerDuty(),
  ])
  const gateway = await startGateway(openai.origin)
  const vault = onePassword.createVault('cloudforge')
  const ids = Object.entries(items).map(([title, labels]): [string, string] => [
    title,
    onePassword.createItem(
      vault,
      title,
      labels.map((label) => ({ label, type: 'CONCEALED' as const, value: '' })),
    ).id,
  ])
  const { token: flyToken } = fly.createApp('cloudforge')
  aws.account.addUser('cloudforge-api')
  const accessKey = aws.account.addKey('cloudforge-api')
  return {
    ...{ fly, onePassword, anthropic, openai, okta, entra, aws, slack, pagerDuty, gateway, flyToken, accessKey },
    anthropicKey: anthropic.makeKey('cloudforge').value,
    openaiKey: openai.makeUserKey('cloudforge').value,
    oktaToken: okta.makeToken('cloudforge').value,
    jwtSecret: randomBytes(48).toString('base64url'),
    /** What a field of an item holds. */
    held: (title: string, label: string) =>
      onePassword.item(new Map(ids).get(title) ?? '').fields.find((field) => field.label === label)?.value,
    close: async () => {
      await gateway.close()
      for (const each of [fly, onePassword, anthropic, openai, okta, entra, aws, slack, pagerDuty]) await each.stop()
    },
  }
}
