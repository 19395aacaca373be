import type { SecretPlan } from '@keyturn/secrets'
import { type Call, print } from '../../call.ts'
import { exit } from '../../exit.ts'
import { secretPlanScreen } from '../../screens/secret.ts'
import { withSecrets } from '../../secrets/opened-secrets.ts'

/** Says what a rotation would call and looks whether it could be done. Changes nothing; a fault is a refusal. */
export default function plan(call: Call): Promise<number> {
  return withSecrets(call, 'looking', async ({ secrets }) => {
    const [name] = call.args
    const plans: SecretPlan[] = []
    for (const each of name === undefined ? secrets.names : [name]) plans.push(await secrets.plan(each))
    print(call, { plans }, [...plans.map(secretPlanScreen), 'Nothing was changed.'].join('\n\n'))
    return plans.some(({ findings }) => findings.some(({ severity }) => severity === 'fault')) ? exit.refused : exit.done
  })
}
