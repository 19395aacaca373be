import { readFile } from 'node:fs/promises'
import { durationMs, fail, nearest, type SecretRef } from '@keyturn/core'
import type { Alert } from './alert.ts'
import type { Application, World } from './call.ts'
import type { Gate } from './gate.ts'
import { faultOf, loadPart } from './load-part.ts'
import { accountOf, type Provider, ProviderLimits } from './provider.ts'
import type { Rotator } from './rotator.ts'
import { type AlertConfig, alertSchema, type SecretConfig, secretSchema } from './secret-config.ts'
import type { Store } from './store.ts'
import type { Target } from './target.ts'
import { referencesIn, type Slot } from './template.ts'
import { checkTruth } from './truth.ts'

/** A store of a secret with its name and its templates. */
export interface OpenedStore {
  readonly name: string
  readonly place: string
  readonly store: Store
  readonly templates: { readonly [name: string]: string }
  /** Whether it is the source of truth. */
  readonly truth: boolean
}
interface Named<T> {
  readonly name: string
  readonly place: string
  readonly part: T
}

/** A secret of the configuration, with its parts made. */
export interface OpenedSecret {
  readonly name: string
  readonly config: SecretConfig
  readonly rotator: Rotator
  readonly stores: readonly OpenedStore[]
  readonly targets: readonly Named<Target>[]
  readonly gates: readonly Named<Gate>[]
  /** Whom its parts ask, where that is limited. */
  readonly providers: ReadonlyMap<object, Provider>
  /** Slots that its templates name beside `current`: each is a deployment of its own. */
  readonly slots: ReadonlySet<Slot>
  readonly graceMs: number
  readonly soakMs: number
  readonly deadlineMs: number
  readonly patienceMs: number
}

export interface OpenedAlert {
  /** What it is known by, wherever it stands in the configuration. */
  readonly name: string
  readonly config: AlertConfig
  readonly alert: Alert
}

/** Reads variables and files at each use. */
export function worldOf(
  env: { readonly [name: string]: string | undefined },
  now: () => number,
  application: Application | null = null,
): World {
  return {
    now,
    application() {
      if (application === null) throw fail('ERR_USAGE', 'a part that works on fields and keyrings needs an opened configuration')
      return application
    },
    async read(ref: SecretRef) {
      if ('env' in ref) {
        const text = Object.hasOwn(env, ref.env) ? env[ref.env] : undefined
        if (text === undefined || text === '') throw fail('ERR_ENV_MISSING', ref.env, 'the secrets of the configuration')
        return text
      }
      const text = await readFile(ref.file, 'utf8').catch(() => '')
      if (text.trim() === '') throw fail('ERR_ENV_MISSING', ref.file, 'the secrets of the configuration')
      return text.trim()
    },
  }
}

/** Makes the parts of a secret. @throws `ERR_CONFIG` with the place, `ERR_UNKNOWN_DRIVER` with the names there are */
export async function openSecret(name: string, given: unknown, world: World, limits = new ProviderLimits()): Promise<OpenedSecret> {
  const at = `secrets.${name}`
  const parsed = secretSchema.safeParse(given)
  if (!parsed.success) throw faultOf(at, parsed.error)
  const config = given as SecretConfig
  const providers = new Map<object, Provider>()
  const limited = <T extends { readonly provider?: string }>(part: T, partName: string, options: object): T => {
    const provider = limits.of(partName, part, options)
    if (provider !== null) providers.set(part, provider)
    return part
  }
  const rotator = await loadPart<Rotator>('rotators', config.rotator, { place: `${at}.rotator`, world })
  limited(rotator, config.rotator.rotator, config.rotator)
  const stores: OpenedStore[] = []
  for (const [index, store] of (config.stores ?? []).entries()) {
    const place = `${at}.stores[${index}]`
    const { values, ...options } = store
    stores.push({
      name: store.store,
      place,
      store: limited(await loadPart<Store>('stores', store, { place, world, except: ['values', 'truth'] }), store.store, options),
      templates: values,
      truth: store.truth === true,
    })
  }
  const named = async <T extends { readonly provider?: string }>(
    folder: 'targets' | 'gates',
    list: readonly { readonly [option: string]: unknown }[] = [],
  ) => {
    const parts: Named<T>[] = []
    for (const [index, part] of list.entries()) {
      const place = `${at}.${folder}[${index}]`
      const called = String(part[folder.slice(0, -1)])
      parts.push({ name: called, place, part: limited(await loadPart<T>(folder, part, { place, world }), called, part) })
    }
    return parts
  }
  const secret: OpenedSecret = {
    name,
    config,
    rotator,
    stores,
    targets: await named<Target>('targets', config.targets),
    gates: await named<Gate>('gates', config.gates),
    providers,
    slots: new Set(stores.flatMap(({ templates }) => Object.values(templates).flatMap(referencesIn)).map(({ slot }) => slot)),
    graceMs: config.grace === undefined ? 3_600_000 : durationMs(config.grace),
    soakMs: config.soak === undefined ? 0 : durationMs(config.soak),
    deadlineMs: durationMs(config.deadline ?? '30m'),
    patienceMs: durationMs(config.patience ?? '1d'),
  }
  checkTemplates(secret)
  checkTruth(secret)
  return secret
}

/** @throws `ERR_CONFIG` for a part that the rotator does not have */
function checkTemplates({ stores, rotator, name, config }: OpenedSecret): void {
  const parts = Object.keys(rotator.parts)
  for (const { place, templates } of stores) {
    for (const [variable, template] of Object.entries(templates)) {
      const unknown = referencesIn(template).find(({ part }) => !parts.includes(part))
      if (unknown !== undefined)
        throw fail('ERR_CONFIG', `${place}.values.${variable}`, `the rotator has no part "${unknown.part}"${nearest(unknown.part, parts)}`)
    }
  }
  const odd = Object.keys(config.first ?? {}).find((part) => !parts.includes(part))
  if (odd !== undefined) throw fail('ERR_CONFIG', `secrets.${name}.first.${odd}`, `the rotator has no part "${odd}"${nearest(odd, parts)}`)
}

/** Makes the alerts. @throws as `openSecret` */
export async function openAlerts(given: readonly unknown[], world: World): Promise<OpenedAlert[]> {
  const alerts: OpenedAlert[] = []
  for (const [index, each] of given.entries()) {
    const place = `alerts[${index}]`
    const parsed = alertSchema.safeParse(each)
    if (!parsed.success) throw faultOf(place, parsed.error)
    const config = each as AlertConfig
    const { on: _, runbooks: __, name = `${config.alert} ${accountOf(config)}`, ...options } = config
    const taken = alerts.some((other) => other.name === name)
    if (taken && config.name !== undefined) throw fail('ERR_CONFIG', `${place}.name`, 'another alert has this name')
    const alert = await loadPart<Alert>('alerts', options, { place, world })
    alerts.push({ name: taken ? `${name} ${index}` : name, config, alert })
  }
  return alerts
}
