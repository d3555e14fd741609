// What is set for a deployment. A value of readEnvironmentVariable comes from the shell (or from `azd env set`).
using './main.bicep'

param location = readEnvironmentVariable('AZURE_LOCATION', 'swedencentral')
param gatewayKey = readEnvironmentVariable('GATEWAY_KEY')
param alertEmail = readEnvironmentVariable('ALERT_EMAIL', '')

// A model of models.yaml with `backend: azure` names one of these as its api_model.
param modelDeployments = [
  {
    name: 'gpt-5-mini'
    model: 'gpt-5-mini'
    version: '2025-08-07'
    sku: 'GlobalStandard'
    capacity: 100
  }
]
