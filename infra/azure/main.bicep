// Skybridge on Azure Functions (Flex Consumption): scales to zero, streams, and holds no key where an identity will do.
//
//   az deployment group create --resource-group RG --template-file infra/azure/main.bicep --parameters infra/azure/main.bicepparam
//
// docs/deploy-azure.md has the rest.

targetScope = 'resourceGroup'

@description('Where everything is made. The models must be offered there too.')
param location string = resourceGroup().location

@description('What the names of the resources start with.')
@minLength(2)
@maxLength(12)
param name string = 'skybridge'

@description('Who lets callers in: the gateway with its keys, or App Service authentication with Entra ID.')
@allowed(['keys', 'entra'])
param authentication string = 'keys'

@description('The key that clients must send; several are separated by commas. It is kept in Key Vault.')
@secure()
@minLength(16)
param gatewayKey string

@description('The app registration that callers ask tokens for, where authentication is entra. Without it the keys are asked for.')
param entraClientId string = ''

@description('The configuration\'s path in the package. Empty is models.yaml.')
param modelConfigPath string = ''

@description('Azure OpenAI deployments to make: name, model, version, sku, capacity (thousand tokens a minute). Empty makes no account.')
param modelDeployments array = []

@description('Further app settings, for instance of other backends. For secrets give Key Vault references.')
param settings object = {}

@description('The role at AWS that the gateway takes to ask Bedrock: RoleArn of infra/aws/from-azure.yaml. Empty is none.')
param awsRoleArn string = ''

@description('The application id URI that the tokens for AWS are for.')
param awsAudience string = ''

@description('Where Bedrock is asked.')
param awsRegion string = 'us-east-1'

@description('A role at AWS that may ask the models here without a key, by its ARN: GatewayRoleArn of template.yaml. Empty is none.')
param trustedAwsRoleArn string = ''

@description('Who signs for that role: the issuer of its account\'s web identity tokens.')
param trustedAwsIssuer string = ''

@description('Memory of an instance.')
@allowed([512, 2048, 4096])
param instanceMemoryMegabytes int = 2048

@description('The most instances at once, which bounds what can be spent.')
@minValue(1)
@maxValue(1000)
param maximumInstances int = 40

@description('Requests that one instance answers at once. Azure\'s own default for Python is 1.')
@minValue(1)
@maxValue(1000)
param instanceConcurrency int = 64

@description('Instances that are kept running. 0 scales to zero.')
@minValue(0)
param alwaysReady int = 0

@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Whether whole requests and answers are kept, credentials masked, in the container `bodies`.')
param bodyArchive bool = false

@description('How long they are kept.')
@minValue(1)
@maxValue(3650)
param bodyArchiveDays int = 30

@description('Who is written to by alerts and the budget. Empty is nobody.')
param alertEmail string = ''

@description('Of a request, from its start to its first byte; the alert looks at the 99th percentile.')
param slowRequestSeconds int = 60

@description('The resource group\'s budget. Mails go to alertEmail at 80 and 100 percent.')
param monthlyBudget int = 500

@description('The budget\'s first month. Only the first day of a month will do.')
param budgetStart string = utcNow('yyyy-MM-01')

param tags object = {}

var unique = uniqueString(subscription().subscriptionId, resourceGroup().id, name)
var allTags = union({ application: 'skybridge' }, tags)
var withOpenAi = !empty(modelDeployments)
// Without an app registration App Service could ask nobody, so then the keys are asked for.
var withEntra = authentication == 'entra' && !empty(entraClientId)
var toAws = !empty(awsRoleArn)
var fromAws = !empty(trustedAwsRoleArn)
var packages = 'packages'
var bodies = 'bodies'
var tableName = 'skybridge'
var role = {
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
  cognitiveServicesOpenAiUser: '5e0bd9bd-7b93-4f28-af87-19fc36ad61bd'
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
}

// Who the gateway is, for everything below.

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${name}-${unique}'
  location: location
  tags: allTags
}

// Packages and state, without shared keys.

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: 'st${unique}'
  location: location
  tags: allTags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_ZRS'
  }
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: storage
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource packageContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: packages
  properties: {
    publicAccess: 'None'
  }
}

// Whole requests and answers, where that was asked for. They go after bodyArchiveDays.

resource bodyContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = if (bodyArchive) {
  parent: blobs
  name: bodies
  properties: {
    publicAccess: 'None'
  }
}

resource bodiesEnd 'Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01' = if (bodyArchive) {
  parent: storage
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'bodies'
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: {
              blobTypes: [
                'blockBlob'
              ]
              prefixMatch: [
                '${bodies}/'
              ]
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: bodyArchiveDays
                }
              }
            }
          }
        }
      ]
    }
  }
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2023-05-01' = {
  parent: storage
  name: 'default'
}

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2023-05-01' = {
  parent: tables
  name: tableName
}

resource mayReadPackages 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, identity.id, role.storageBlobDataOwner)
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageBlobDataOwner)
  }
}

resource mayKeepState 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, identity.id, role.storageTableDataContributor)
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageTableDataContributor)
  }
}

// Keys that no identity replaces: the gateway's own, and those of backends outside Azure.

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: 'kv${unique}'
  location: location
  tags: allTags
  properties: {
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: 7
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: 'Allow'
    }
  }
}

resource gatewayKeySecret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = {
  parent: vault
  name: 'gateway-key'
  properties: {
    contentType: 'text/plain'
    value: gatewayKey
  }
}

resource mayReadSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, identity.id, role.keyVaultSecretsUser)
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.keyVaultSecretsUser)
  }
}

// Azure OpenAI, where deployments are asked for.

resource openAi 'Microsoft.CognitiveServices/accounts@2024-10-01' = if (withOpenAi) {
  name: 'ai-${unique}'
  location: location
  tags: allTags
  kind: 'OpenAI'
  sku: {
    name: 'S0'
  }
  properties: {
    // Tokens of identities are taken only at a name of the account's own.
    customSubDomainName: 'ai-${unique}'
    disableLocalAuth: true
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      defaultAction: 'Allow'
    }
  }
}

@batchSize(1)
resource openAiDeployments 'Microsoft.CognitiveServices/accounts/deployments@2024-10-01' = [for deployment in modelDeployments: {
  parent: openAi
  name: deployment.name
  sku: {
    name: deployment.sku
    capacity: deployment.capacity
  }
  properties: {
    model: {
      format: 'OpenAI'
      name: deployment.model
      version: deployment.version
    }
    versionUpgradeOption: 'NoAutoUpgrade'
  }
}]

resource mayAskModels 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (withOpenAi) {
  scope: openAi
  name: guid(resourceGroup().id, identity.id, role.cognitiveServicesOpenAiUser)
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.cognitiveServicesOpenAiUser)
  }
}

// A role at AWS that asks the models: an identity of its own, which only that role's tokens prove.

resource awsIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = if (fromAws) {
  name: '${name}-from-aws-${unique}'
  location: location
  tags: allTags
}

resource awsCredential 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2023-01-31' = if (fromAws) {
  parent: awsIdentity
  name: 'aws'
  properties: {
    issuer: trustedAwsIssuer
    subject: trustedAwsRoleArn
    audiences: [
      'api://AzureADTokenExchange'
    ]
  }
}

resource awsMayAskModels 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (fromAws && withOpenAi) {
  scope: openAi
  name: guid(resourceGroup().id, awsIdentity.id, role.cognitiveServicesOpenAiUser)
  properties: {
    principalId: awsIdentity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.cognitiveServicesOpenAiUser)
  }
}

// Logs and metrics, over Entra ID.

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${name}-${unique}'
  location: location
  tags: allTags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: logRetentionDays
    workspaceCapping: {
      dailyQuotaGb: 5
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${name}-${unique}'
  location: location
  tags: allTags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

resource mayPublishMetrics 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, identity.id, role.monitoringMetricsPublisher)
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.monitoringMetricsPublisher)
  }
}

// The function app.

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: '${name}-${unique}'
  location: location
  tags: allTags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: '${name}-${unique}'
  location: location
  tags: union(allTags, { 'azd-service-name': 'gateway' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identity.id
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packages}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMegabytes
        maximumInstanceCount: maximumInstances
        alwaysReady: alwaysReady == 0 ? [] : [
          {
            name: 'http'
            instanceCount: alwaysReady
          }
        ]
        triggers: {
          http: {
            perInstanceConcurrency: instanceConcurrency
          }
        }
      }
    }
    siteConfig: {
      ftpsState: 'Disabled'
      http20Enabled: true
      minTlsVersion: '1.2'
    }
  }
  dependsOn: [
    mayReadPackages
    mayReadSecrets
    packageContainer
  ]
}

resource appSettings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: app
  name: 'appsettings'
  properties: union({
    AzureWebJobsStorage__accountName: storage.name
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identity.properties.clientId
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
    AZURE_CLIENT_ID: identity.properties.clientId
    AZURE_BASE_URL: withOpenAi ? 'https://ai-${unique}.openai.azure.com' : ''
    MODEL_CONFIG_PATH: modelConfigPath
    // The gateway reads it itself, and does not start without: a reference of App Service that fails would be taken
    // for the key.
    SERVICE_API_KEY: withEntra ? '' : 'azure-keyvault://${vault.name}/gateway-key'
    SKYBRIDGE_COMPUTE: alwaysReady == 0 ? 'flex' : 'flex/always-ready'
    SKYBRIDGE_INSTANCE_MB: string(instanceMemoryMegabytes)
    SKYBRIDGE_BODY_ARCHIVE: bodyArchive ? '${storage.properties.primaryEndpoints.blob}${bodies}/skybridge' : ''
    SKYBRIDGE_AUTH: withEntra ? 'platform' : ''
    SKYBRIDGE_STORE: 'azure-table:${storage.properties.primaryEndpoints.table}${tableName}'
  }, toAws ? {
    AWS_ROLE_ARN: awsRoleArn
    AWS_REGION: awsRegion
    AZURE_FEDERATION_AUDIENCE: awsAudience
  } : {}, settings)
  dependsOn: [
    gatewayKeySecret
    mayKeepState
  ]
}

resource entra 'Microsoft.Web/sites/config@2024-04-01' = if (withEntra) {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401'
    }
    httpSettings: {
      requireHttps: true
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: entraClientId
          openIdIssuer: '${az.environment().authentication.loginEndpoint}${subscription().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            'api://${entraClientId}'
          ]
        }
      }
    }
  }
}

resource noFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource noPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

// What is watched.

resource alertGroup 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${name}-${unique}'
  location: 'global'
  tags: allTags
  properties: {
    enabled: true
    groupShortName: name
    emailReceivers: empty(alertEmail) ? [] : [
      {
        name: 'operator'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

resource failuresAlert 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${name}-failures'
  location: 'global'
  tags: allTags
  properties: {
    description: 'Requests ended with a 5xx: backends that fail, or the gateway itself.'
    enabled: true
    severity: 2
    scopes: [
      insights.id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'failures'
          metricNamespace: 'microsoft.insights/components'
          metricName: 'requests/failed'
          operator: 'GreaterThan'
          threshold: 10
          timeAggregation: 'Count'
        }
      ]
    }
    actions: [
      {
        actionGroupId: alertGroup.id
      }
    ]
  }
}

resource slowAlert 'Microsoft.Insights/scheduledQueryRules@2023-03-15-preview' = {
  name: '${name}-slow'
  location: location
  tags: allTags
  properties: {
    displayName: 'Skybridge answers slowly'
    description: 'One request in a hundred takes longer than slowRequestSeconds.'
    enabled: true
    severity: 3
    scopes: [
      insights.id
    ]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT15M'
    criteria: {
      allOf: [
        {
          query: 'requests | summarize seconds = percentile(duration, 99) / 1000.0'
          metricMeasureColumn: 'seconds'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: slowRequestSeconds
          failingPeriods: {
            numberOfEvaluationPeriods: 2
            minFailingPeriodsToAlert: 2
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        alertGroup.id
      ]
    }
  }
}

resource budget 'Microsoft.Consumption/budgets@2023-11-01' = if (!empty(alertEmail)) {
  name: '${name}-${unique}'
  properties: {
    category: 'Cost'
    amount: monthlyBudget
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: budgetStart
    }
    notifications: {
      most: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 80
        contactEmails: [
          alertEmail
        ]
      }
      all: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 100
        contactEmails: [
          alertEmail
        ]
      }
    }
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, name, 'workbook')
  location: location
  tags: allTags
  kind: 'shared'
  properties: {
    displayName: 'Skybridge'
    category: 'workbook'
    sourceId: insights.id
    serializedData: loadTextContent('workbook.json')
  }
}

output AZURE_FUNCTION_NAME string = app.name
output GATEWAY_URL string = 'https://${app.properties.defaultHostName}'
output KEY_VAULT_NAME string = vault.name
output INSIGHTS string = insights.name
output CLIENT_ID string = identity.properties.clientId

@description('client_id and tenant_id of the backend at AWS.')
output AWS_CLIENT_ID string = fromAws ? awsIdentity.properties.clientId : ''
output TENANT_ID string = subscription().tenantId

@description('Whom the role at AWS trusts: PrincipalId of infra/aws/from-azure.yaml.')
output PRINCIPAL_ID string = identity.properties.principalId
