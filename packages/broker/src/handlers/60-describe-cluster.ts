/**
 * DescribeCluster (60), versions 0 to 2: the brokers of the cluster and its controller; a broker that is alone is its own. A controller's endpoint (type 2) is
 * refused with MISMATCHED_ENDPOINT_TYPE, as by Kafka's brokers. There is no authorizer: authorized operations are all of
 * them, as in Kafka without one.
 */
import { type DescribeClusterRequest, type DescribeClusterResponseInput, errors } from '@varve/protocol'
import { allClusterOperations, operationsNotAsked } from '../authorized-operations.js'
import type { RequestContext } from '../request-context.js'

const brokers = 1
const controllers = 2

export function handleDescribeCluster(
  { endpointType, includeFencedBrokers, includeClusterAuthorizedOperations }: DescribeClusterRequest,
  { broker, endpoint }: RequestContext,
): DescribeClusterResponseInput {
  const { cluster, clusterId } = broker
  if (endpointType !== brokers) {
    const [error, errorMessage] =
      endpointType === controllers
        ? [
            errors.MISMATCHED_ENDPOINT_TYPE,
            'The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER',
          ]
        : [errors.UNSUPPORTED_ENDPOINT_TYPE, `Unsupported endpoint type ${endpointType}`]
    return {
      throttleTimeMs: 0,
      errorCode: error.code,
      errorMessage,
      endpointType: brokers,
      clusterId: '',
      brokers: [],
    }
  }
  return {
    throttleTimeMs: 0,
    errorCode: 0,
    errorMessage: null,
    endpointType,
    clusterId,
    controllerId: cluster.controllerId,
    brokers: cluster
      .nodes(endpoint)
      .filter(({ isFenced }) => includeFencedBrokers || !isFenced)
      .map(({ nodeId, ...node }) => ({ brokerId: nodeId, ...node })),
    clusterAuthorizedOperations: includeClusterAuthorizedOperations
      ? allClusterOperations
      : operationsNotAsked,
  }
}
