// Asks iam-simulate, an evaluator of IAM policies that nobody here wrote, for verdicts.
//
// In, one JSON text: {"account": "...", "asked": [{"documents": [0, 3], "principal", "action",
// "resource", "context"}, ...], "documents": ["{...}", ...]}; `documents` are named by their place,
// so that a large one is sent and checked once. Out: one JSON list, "A" or "." each, in order.
// Whatever the simulator refuses to judge is an error: it says what, and nothing else is printed.

import { readFileSync, writeFileSync } from 'node:fs'
import { createValidatedPolicy, validateIdentityPolicy } from '@cloud-copilot/iam-policy'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const { account, asked, documents } = JSON.parse(readFileSync(0, 'utf8'))
const policies = documents.map((text) => createValidatedPolicy(JSON.parse(text), validateIdentityPolicy))

async function verdict({ documents: named, principal, action, resource, context }) {
  const answer = await runSimulation(
    {
      request: {
        principal,
        action,
        resource: { resource, accountId: account },
        contextVariables: context,
      },
      identityPolicies: named.map((place) => ({ name: String(place), policy: policies[place] })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  )
  if (answer.resultType === 'error') {
    const texts = named.map((place) => documents[place]).join('\n')
    throw new Error(`${action} on ${resource}: ${JSON.stringify(answer.errors)}\n${texts}`)
  }
  const ignored = answer.result?.ignoredContextKeys ?? []
  if (ignored.length > 0) throw new Error(`${action} on ${resource} takes no ${ignored.join(', ')}`)
  return answer.overallResult === 'Allowed' ? 'A' : '.'
}

const verdicts = []
for (const each of asked) verdicts.push(await verdict(each))
writeFileSync(1, JSON.stringify(verdicts))
