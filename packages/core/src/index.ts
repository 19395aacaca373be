/** What an application imports. Drivers have entries of their own: `@keyturn/core/codecs/kt1`. */
export { actingAs, actingOr } from './audit/acting.ts'
export type { LoggedEvent } from './audit/chain.ts'
export { type Checkpoint, checkCheckpoint, checkpointLine, expectedHead } from './audit/checkpoint.ts'
export type { AuditEvent, AuditValue } from './audit/event.ts'
export { eventLine, verifyLines } from './audit/line.ts'
export type { EventFilter, EventPage } from './audit/listing.ts'
export { append as appendEvent } from './audit/log.ts'
export type { AuditFault, AuditReport } from './audit/verification.ts'
export {
  type AlsoUsedFor,
  type BoundColumns,
  type CodecConfig,
  type Config,
  type ConfigOf,
  defineConfig,
  type EnvironmentKeyringConfig,
  env,
  type FieldConfig,
  type FirstKeyConfig,
  type KeyRule,
  type KeyringConfig,
  type ReadConfig,
  type RootConfig,
  type SecretRef,
  type SigningConfig,
  type StoredKeyringConfig,
} from './config/config.ts'
export { DURATION, durationMs } from './config/duration.ts'
export { nearest } from './config/nearest.ts'
export { validateConfig } from './config/validate.ts'
export { isVariableName, variableOf } from './config/variable.ts'
export {
  ConflictError,
  DecryptError,
  type ErrorClass,
  type ErrorCode,
  errorCodes,
  fail,
  isKeyturnError,
  KeyError,
  KeyturnError,
  ServiceError,
  UsageError,
} from './errors.ts'
export type { BoundColumn, BoundType } from './field/bound.ts'
export type { Codec, Stored } from './field/codec.ts'
export type { Context } from './field/context.ts'
export type { FieldDefinition, KeyedValue, Reader } from './field/definition.ts'
export type { FieldEvent } from './field/event.ts'
export { type BoundValues, Field } from './field/field.ts'
export type { BoundArgument, BoundValue, DecryptedBytes, DecryptedText, EncryptedValue, Plaintext } from './field/kinds.ts'
export type { Location, PathStep } from './field/location.ts'
export { MASK, maskValue, mergeValue } from './field/masking.ts'
export { parseReference, printReference } from './field/reference.ts'
export { type SecretFields, secretFields, secretVariables, type VariableDefinition } from './field/secret-fields.ts'
export type { JsonSchema } from './field/secret-schema.ts'
export { type Standing, standingOf } from './field/standing.ts'
export { isStoredHash, storedToken, tokenForms, tokenHash, tokenMatches } from './field/token-hash.ts'
export { generateKey } from './keyring/generate-key.ts'
export { keyFromText } from './keyring/key-rule.ts'
export type { KeyState } from './keyring/key-state.ts'
export type { KeyVersion } from './keyring/key-version.ts'
export type { KeyWrapper } from './keyring/key-wrapper.ts'
export type {
  AuditLog,
  ExportOptions,
  KeyringStatus,
  Keyturn,
  PlanOptions,
  ProgressReport,
  RotateOptions,
  RotationStatus,
  RunOptions,
  SigningStatus,
  Status,
  Throttle,
  VerifyOptions,
} from './keyturn.ts'
export { commandActor, type OpenOptions, open } from './open.ts'
export type { Census, CensusGroup, FieldCensus } from './rotation/census.ts'
export { type Certificate, certificateHash, certificateText, checkCertificate } from './rotation/certificate.ts'
export type { ColumnShape, Database, TableShape } from './rotation/database.ts'
export { DatabaseError } from './rotation/database-error.ts'
export { isFenced } from './rotation/fencing.ts'
export { fieldNeeding, type HashedTokens, type HashTokensOptions, type TokenColumnOptions } from './rotation/hash-tokens.ts'
export type { Plan, PlanFacts, PlannedField, PlannedTable } from './rotation/plan.ts'
export { readPlan, writePlan } from './rotation/plan-file.ts'
export { type FailedValue, type FieldVerification, type RotationResult, summary, type Verification } from './rotation/result.ts'
export type { Retirement } from './rotation/retirement.ts'
export type { RotationMode, RotationState } from './rotation/run.ts'
export type { TokenCounts } from './rotation/token-column.ts'
export type { RecordedRotation, RecordedTable, RotationPage, Rotations, SetAsidePage } from './rotations.ts'
export type { EndOptions, SessionCount, Sessions } from './sessions.ts'
export type { Algorithm, PublicJwk } from './signing/algorithm.ts'
export type { Jwks, JwksRequest, JwksResponse } from './signing/jwks.ts'
export { type PublicKey, publicKey } from './signing/public-key.ts'
export { type SigningKey, signingKey } from './signing/signing-key.ts'
export type { LibraryKey, SigningKeyring } from './signing/signing-keyring.ts'
export type { Claims, SignOptions, VerifiedToken, VerifyTokenOptions } from './signing/token.ts'
export type { TokenEvent } from './signing/token-ledger.ts'
export type { TokensConfig, TokenTimes } from './signing/token-times.ts'
export type { SigningRetirement, SigningRotation } from './signing/turnover.ts'
export type { Migration } from './state/migrations.ts'
export { type Migrations, migrate, schemaSql } from './state/schema.ts'
export type { Sql, SqlState } from './state/sql.ts'
export { withFreshKeys } from './with-fresh-keys.ts'
