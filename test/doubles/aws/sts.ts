import { type Account, region } from './account.ts'
import { AwsError } from './aws-error.ts'
import type { Service } from './offer.ts'
import { query } from './query.ts'

/** STS: says who signed. It needs no permission, so that it proves a key and nothing else. */
export function sts(account: Account): Service {
  return {
    name: 'sts',
    regions: [region, 'us-east-1'],
    protocol: query({ version: '2011-06-15', namespace: 'https://sts.amazonaws.com/doc/2011-06-15/' }),
    throttled: new AwsError('Throttling', 400, 'Rate exceeded'),
    failed: new AwsError('InternalFailure', 500, 'The request processing has failed because of an unknown error.'),
    operations: {
      GetCallerIdentity: (_, { arn, userId }) => ({ Arn: arn, UserId: userId, Account: account.id }),
    },
  }
}
