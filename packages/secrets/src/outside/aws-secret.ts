import { z } from 'zod'
import type { Call, World } from '../secret/call.ts'
import { awsCode, awsOptions, type ClientOptions, inAws, sdk } from './aws.ts'
import { outside } from './failure.ts'

/** How a secret of AWS Secrets Manager is found: options of the parts that use one. */
export const awsSecretOptions = {
  ...awsOptions,
  /** Its name, or its ARN. */
  secret: z.string().regex(/^[\w/+=.@:-]{1,2048}$/, { error: 'expected the name or the ARN of a secret' }),
} as const

const given = z.object(awsSecretOptions)
type Client = InstanceType<typeof import('@aws-sdk/client-secrets-manager')['SecretsManager']>

export const CURRENT = 'AWSCURRENT'
export const PREVIOUS = 'AWSPREVIOUS'
export const PENDING = 'AWSPENDING'

/** What Secrets Manager says of a secret, without its values. */
export interface SecretState {
  /** The version that carries a label; null where none does. */
  holder(label: string): string | null
  /** Whether AWS changes it by a function, and on which one. */
  readonly rotation: { readonly enabled: boolean; readonly lambda: string | null; readonly hasSchedule: boolean }
  readonly deleted: boolean
}

/** One secret of AWS Secrets Manager. Values are read by the id of their version: a label that has just moved is found late. */
export class AwsSecret {
  readonly where: string
  readonly #given: z.infer<typeof given>
  readonly #world: World

  constructor(options: z.infer<typeof given>, world: World) {
    this.where = `AWS Secrets Manager, secret "${options.secret}"`
    this.#given = options
    this.#world = world
  }

  /** @throws refused with the code of AWS, unless `work` deals with it */
  call<T>(
    call: Call,
    work: (client: Client, id: { SecretId: string }, options: { readonly abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    const service = { where: this.where, access: this.#given, world: this.#world, connect }
    return inAws(service, call, (client, options) => work(client, { SecretId: this.#given.secret }, options))
  }

  describe(call: Call): Promise<SecretState> {
    return this.call(call, async (client, id, options) => {
      const found = await client.describeSecret(id, options)
      const labels = Object.entries(found.VersionIdsToStages ?? {})
      return {
        holder: (label) => labels.find(([, stages]) => stages.includes(label))?.[0] ?? null,
        rotation: {
          enabled: found.RotationEnabled === true,
          lambda: found.RotationLambdaARN ?? null,
          hasSchedule: found.RotationRules?.AutomaticallyAfterDays !== undefined || found.RotationRules?.ScheduleExpression !== undefined,
        },
        deleted: found.DeletedDate !== undefined,
      }
    })
  }

  /** The text of a version; null where it has none yet. @throws refused for bytes */
  read(call: Call, VersionId: string): Promise<string | null> {
    return this.call(call, async (client, id, options) => {
      const found = await client.getSecretValue({ ...id, VersionId }, options).catch((error: unknown) => {
        if (awsCode(error) === 'ResourceNotFoundException') return null
        throw error
      })
      if (found?.SecretBinary !== undefined) throw outside('refused', this.where, 'it holds bytes, and not a text')
      return found?.SecretString ?? null
    })
  }

  /**
   * Moves a label from one version to another, or takes it away (`to` null), if it still stands where the caller has seen it.
   *
   * @returns false where it does not
   */
  moveLabel(
    call: Call,
    VersionStage: string,
    { from, to }: { readonly from: string | null; readonly to: string | null },
  ): Promise<boolean> {
    return this.call(call, async (client, id, options) => {
      const move = { ...(from !== null && { RemoveFromVersionId: from }), ...(to !== null && { MoveToVersionId: to }) }
      try {
        await client.updateSecretVersionStage({ ...id, VersionStage, ...move }, options)
        return true
      } catch (error) {
        if (awsCode(error) === 'InvalidParameterException') return false
        throw error
      }
    })
  }
}

async function connect(options: ClientOptions): Promise<Client> {
  const { SecretsManager } = await sdk('@aws-sdk/client-secrets-manager', () => import('@aws-sdk/client-secrets-manager'))
  return new SecretsManager(options)
}
