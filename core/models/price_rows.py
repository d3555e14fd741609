"""The price list, in USD for a million tokens: input, output, cache read, cache write for 5 minutes, for an hour, what
a long prompt costs (from:input factor:output factor; the input factor holds for the cache too), and the factors of
service tiers. `-` is no price of its own: a cache read costs what input does, a write what a shorter-lived one does.

Sources: https://platform.claude.com/docs/en/about-claude/pricing, https://developers.openai.com/api/docs/pricing,
https://ai.google.dev/gemini-api/docs/pricing, https://aws.amazon.com/bedrock/pricing/
"""

from __future__ import annotations

from typing import Final

# Vendors' own models, wherever a vendor or a cloud sells them at the list price.
VENDORS: Final = """
# Anthropic
claude-3-5-haiku                  0.8       4    0.08       1     1.6          -  -
claude-3-5-sonnet                   3      15     0.3    3.75       6          -  -
claude-3-7-sonnet                   3      15     0.3    3.75       6          -  -
claude-3-opus                      15      75     1.5   18.75      30          -  -
claude-fable-5                     10      50       1    12.5      20          -  batch=0.5
claude-fable-5-1                   10      50    0.25    12.5      20          -  batch=0.5
claude-haiku-4-5                    1       5     0.1    1.25       2          -  batch=0.5
claude-haiku-5-5                  0.1     0.5    0.01   0.125     0.2   100k:5:5  batch=0.5
claude-mythos-5                    10      50       1    12.5      20          -  batch=0.5
claude-mythos-5-1                  10      50    0.25    12.5      20          -  batch=0.5
claude-mythos-preview              10      50       1    12.5      20          -  -
claude-opus-4                      15      75     1.5   18.75      30          -  -
claude-opus-4-1                    15      75     1.5   18.75      30          -  -
claude-opus-4-5                     5      25     0.5    6.25      10          -  batch=0.5
claude-opus-4-6                     5      25     0.5    6.25      10          -  batch=0.5
claude-opus-4-7                     5      25     0.5    6.25      10          -  batch=0.5
claude-opus-4-8                     5      25     0.5    6.25      10          -  batch=0.5 fast=2
claude-opus-5                       5      25     0.5    6.25      10          -  batch=0.5 fast=2
claude-opus-5-5                     4      20     0.2       5       8          -  batch=0.5 fast=2
claude-sonnet-4                     3      15     0.3    3.75       6 200k:2:1.5  -
claude-sonnet-4-5                   3      15     0.3    3.75       6 200k:2:1.5  batch=0.5
claude-sonnet-4-6                   3      15     0.3    3.75       6          -  batch=0.5
claude-sonnet-5                     2      10     0.2     2.5       4          -  batch=0.5
claude-sonnet-5-5                   2      10     0.1     2.5       4          -  batch=0.5
# OpenAI
gpt-3.5-turbo                     0.5     1.5       -       -       -          -  -
gpt-4                              30      60       -       -       -          -  -
gpt-4-turbo                        10      30       -       -       -          -  -
gpt-4.1                             2       8     0.5       -       -          -  batch=0.5 priority=1.75
gpt-4.1-mini                      0.4     1.6     0.1       -       -          -  batch=0.5 priority=1.75
gpt-4.1-nano                      0.1     0.4   0.025       -       -          -  batch=0.5 priority=2
gpt-4o                            2.5      10    1.25       -       -          -  batch=0.5 priority=1.7
gpt-4o-2024-05-13                   5      15       -       -       -          -  batch=0.5 priority=1.75
gpt-4o-mini                      0.15     0.6   0.075       -       -          -  batch=0.5 priority=5/3
gpt-5                            1.25      10   0.125       -       -          -  batch=0.5 flex=0.5 priority=2
gpt-5-chat                       1.25      10   0.125       -       -          -  -
gpt-5.1-chat                     1.25      10   0.125       -       -          -  -
gpt-5.2-chat                     1.75      14   0.175       -       -          -  -
gpt-5.3-chat                     1.75      14   0.175       -       -          -  -
gpt-5-codex                      1.25      10   0.125       -       -          -  -
gpt-5-mini                       0.25       2   0.025       -       -          -  batch=0.5 flex=0.5 priority=1.8
gpt-5-nano                       0.05     0.4   0.005       -       -          -  batch=0.5 flex=0.5
gpt-5-pro                          15     120       -       -       -          -  batch=0.5
gpt-5.1                          1.25      10   0.125       -       -          -  batch=0.5 flex=0.5 priority=2
gpt-5.1-codex                    1.25      10   0.125       -       -          -  -
gpt-5.1-codex-max                1.25      10   0.125       -       -          -  -
gpt-5.1-codex-mini               0.25       2   0.025       -       -          -  -
gpt-5.2                          1.75      14   0.175       -       -          -  batch=0.5 flex=0.5 priority=2
gpt-5.2-codex                    1.75      14   0.175       -       -          -  -
gpt-5.2-pro                        21     168       -       -       -          -  batch=0.5
gpt-5.3-codex                    1.75      14   0.175       -       -          -  priority=2
gpt-5.4                           2.5      15    0.25       -       - 272k:2:1.5  batch=0.5 flex=0.5 priority=2
gpt-5.4-mini                     0.75     4.5   0.075       -       -          -  batch=0.5 flex=0.5 priority=2
gpt-5.4-nano                      0.2    1.25    0.02       -       -          -  batch=0.5 flex=0.5
gpt-5.4-pro                        30     180       -       -       - 272k:2:1.5  batch=0.5 flex=0.5
gpt-5.5                             5      30     0.5       -       - 272k:2:1.5  batch=0.5 flex=0.5 priority=2.5
gpt-5.5-pro                        30     180       -       -       - 272k:2:1.5  batch=0.5 flex=0.5
gpt-5.6                             4      20     0.4       5      10 272k:2:1.5  batch=0.5 flex=0.5 priority=2
gpt-5.6-luna                      0.2     1.2    0.02    0.25     0.5 272k:2:1.5  batch=0.5 flex=0.5 priority=2
gpt-5.6-sol                         4      20     0.4       5      10 272k:2:1.5  batch=0.5 flex=0.5 priority=2
gpt-5.6-terra                       2      12     0.2     2.5       5 272k:2:1.5  batch=0.5 flex=0.5 priority=2
gpt-6-astra 10 50 1 12.5 25 272k:2:1.5 batch=0.5 flex=0.5 priority=2 ultrafast=6
gpt-6-luna                        0.1     0.5    0.01   0.125    0.25 272k:2:1.5  batch=0.5 flex=0.5 priority=2
gpt-6-sol                           2      10     0.2     2.5       5 272k:2:1.5  batch=0.5 flex=0.5 priority=2
gpt-6.1-sol 2 10 0.1 2.5 5 272k:2:1.5 batch=0.5 flex=0.5 priority=2 ultrafast=6
gpt-6.1-terra                       1       5    0.05    1.25     2.5 272k:2:1.5  batch=0.5 flex=0.5 priority=2
o1                                 15      60     7.5       -       -          -  batch=0.5
o1-pro                            150     600       -       -       -          -  batch=0.5
o3                                  2       8     0.5       -       -          -  batch=0.5 flex=0.5 priority=1.75
o3-mini                           1.1     4.4    0.55       -       -          -  batch=0.5
o3-pro                             20      80       -       -       -          -  batch=0.5
o4-mini                           1.1     4.4   0.275       -       -          -  batch=0.5 flex=0.5 priority=20/11
text-embedding-3-large           0.13       0       -       -       -          -  batch=0.5
text-embedding-3-small           0.02       0       -       -       -          -  batch=0.5
text-embedding-ada-002            0.1       0       -       -       -          -  -
# OpenAI, fine-tuned
ft:gpt-3.5-turbo                              3      6      - - - -  -
ft:gpt-4.1                                    3     12   0.75 - - -  -
ft:gpt-4.1-mini                             0.8    3.2    0.2 - - -  -
ft:gpt-4.1-nano                             0.2    0.8   0.05 - - -  -
ft:gpt-4o                                  3.75     15  1.875 - - -  -
ft:gpt-4o-mini                              0.3    1.2   0.15 - - -  -
ft:o4-mini                                    4     16      1 - - -  -
# Google
gemini-2.5-flash                  0.3     2.5    0.03       -       -          -  batch=0.5 flex=0.5 priority=1.8
gemini-2.5-flash-lite             0.1     0.4    0.01       -       -          -  batch=0.5 flex=0.5 priority=1.8
gemini-2.5-pro                   1.25      10   0.125       -       - 200k:2:1.5  batch=0.5 flex=0.5 priority=1.8
gemini-3-flash-preview            0.5       3    0.05       -       -          -  batch=0.5 flex=0.5 priority=1.8
gemini-3.1-flash-lite            0.25     1.5   0.025       -       -          -  batch=0.5 flex=0.5 priority=1.8
gemini-3.1-flash-lite-preview    0.25     1.5   0.025       -       -          -  batch=0.5 flex=0.5 priority=1.8
gemini-3.1-pro-preview              2      12     0.2       -       - 200k:2:1.5  batch=0.5 flex=0.5 priority=1.8
gemini-3.5-flash                  1.5       9    0.15       -       -          -  batch=0.5 flex=0.5 priority=1.8
gemini-3.5-flash-lite             0.3     2.5    0.03       -       -          -  batch=0.5 flex=0.5 priority=1.8
gemini-3.6-flash                 0.75    3.75   0.075       -       -          -  batch=0.5 flex=0.5 priority=1.8
gemini-3.7-flash                 0.75    3.75   0.075       -       -          -  batch=0.5 flex=0.5 priority=1.8
gemini-3.8-flash                 0.75    3.75   0.075       -       -          -  batch=0.5 flex=0.5 priority=1.8
gemini-4-argon                      2      10     0.1       -       -          -  batch=0.5 flex=0.5 priority=1.8
gemini-embedding-001             0.15       0       -       -       -          -  batch=0.5
gemini-embedding-2                0.2       0       -       -       -          -  batch=0.5
"""

# Models that Bedrock hosts; other hosts of the same weights have prices of their own.
BEDROCK: Final = """
claude-mythos-preview            27.5   137.5    2.75  34.375      55          -  -
gpt-oss-120b-1                   0.15     0.6       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
gpt-oss-20b-1                    0.07     0.3       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
llama3-1-405b-instruct            2.4     2.4       -       -       -          -  -
llama3-1-70b-instruct            0.72    0.72       -       -       -          -  batch=0.5
llama3-1-8b-instruct             0.22    0.22       -       -       -          -  batch=0.5
llama3-2-11b-instruct            0.16    0.16       -       -       -          -  -
llama3-2-1b-instruct              0.1     0.1       -       -       -          -  -
llama3-2-3b-instruct             0.15    0.15       -       -       -          -  -
llama3-2-90b-instruct            0.72    0.72       -       -       -          -  -
llama3-3-70b-instruct            0.72    0.72       -       -       -          -  batch=0.5
llama3-70b-instruct              2.65     3.5       -       -       -          -  -
llama3-8b-instruct                0.3     0.6       -       -       -          -  -
llama4-maverick-17b-instruct     0.24    0.97       -       -       -          -  batch=0.5
llama4-scout-17b-instruct        0.17    0.66       -       -       -          -  batch=0.5
mistral-large-2402                  4      12       -       -       -          -  -
mistral-large-2407                  2       6       -       -       -          -  -
mistral-large-3-675b-instruct     0.5     1.5       -       -       -          -  batch=0.5 flex=0.5 priority=44/25
nova-2-lite                       0.3     2.5   0.075       -       -          -  batch=0.5 priority=1.75
nova-2-pro-preview               1.25      10  0.3125       -       -          -  batch=0.5 priority=1.75
nova-lite                        0.06    0.24   0.015       -       -          -  batch=0.5
nova-micro                      0.035    0.14 0.00875       -       -          -  batch=0.5
nova-premier                      2.5    12.5   0.625       -       -          -  batch=0.5 priority=1.75
nova-pro                          0.8     3.2     0.2       -       -          -  batch=0.5 flex=0.5 priority=1.75
qwen3-235b-a22b-2507             0.22    0.88       -       -       -          -  batch=0.5 flex=0.5
qwen3-32b                        0.15     0.6       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
qwen3-coder-30b-a3b              0.15     0.6       -       -       -          -  batch=0.5 priority=1.75
qwen3-coder-480b-a35b            0.45     1.8       -       -       -          -  -
qwen3-coder-next                  0.5     1.2       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
qwen3-next-80b-a3b               0.15     1.2       -       -       -          -  flex=7/15 priority=26/15
qwen3-vl-235b-a22b               0.53    2.66       -       -       -          -  batch=26/53 priority=93/53
deepseek.r1                      1.35     5.4       -       -       -          -  -
deepseek.v3                      0.58    1.68       -       -       -          -  -
deepseek.v3.2                    0.62    1.85       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
amazon.titan-embed-text-v2:0         0.02       0       -       -       -          -  -
command-light-text                    0.3     0.6       -       -       -          -  -
command-text                            1       2       -       -       -          -  -
devstral-2-123b                       0.4       2       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
embed                                0.12       0       -       -       -          -  -
embed-english                         0.1       0       -       -       -          -  -
embed-multilingual                    0.1       0       -       -       -          -  -
gemma-3-12b-it                       0.09    0.29       -       -       -          -  batch=5/9 flex=5/9 priority=16/9
gemma-3-27b-it 0.23 0.38 - - - - batch=12/23 flex=12/23 priority=40/23
gemma-3-4b-it                        0.04    0.08       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
glm-4.7                               0.6     2.2       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
glm-4.7-flash                        0.07     0.4       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
glm-5                                   1     3.2       -       -       -          -  batch=0.5 priority=1.75
gpt-oss-safeguard-120b 0.15 0.6 - - - - batch=7/15 flex=7/15 priority=26/15
gpt-oss-safeguard-20b                0.07     0.2       -       -       -          -  batch=3/7 flex=3/7 priority=12/7
jamba-1-5-large                         2       8       -       -       -          -  -
jamba-1-5-mini                        0.2     0.4       -       -       -          -  -
jamba-instruct                        0.5     0.7       -       -       -          -  -
kimi-k2-thinking                      0.6     2.5       -       -       -          -  flex=0.5
kimi-k2.5                             0.6       3       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
kimi-k3                               3.3    16.5    0.33   4.125       -          -  flex=0.5 priority=1.75
llama2-13b-chat                      0.75       1       -       -       -          -  -
llama2-70b-chat                      1.95    2.56       -       -       -          -  -
magistral-small-2509                  0.5     1.5       -       -       -          -  batch=0.5 flex=0.5 priority=1.76
minimax-m2                            0.3     1.2       -       -       -          -  batch=0.5 flex=0.5 priority=26/15
minimax-m2.1                          0.3     1.2       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
minimax-m2.5                          0.3     1.2       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
ministral-3-14b-instruct              0.2     0.2       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
ministral-3-3b-instruct               0.1     0.1       -       -       -          -  batch=0.5 flex=0.5 priority=1.7
ministral-3-8b-instruct 0.15 0.15 - - - - batch=7/15 flex=7/15 priority=26/15
mistral-7b-instruct                  0.15     0.2       -       -       -          -  -
mistral-small-2402                      1       3       -       -       -          -  batch=0.5
mixtral-8x7b-instruct                0.45     0.7       -       -       -          -  -
nemotron-nano-12b                     0.2     0.6       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
nemotron-nano-3-30b                  0.06    0.24       -       -       -          -  batch=0.5 flex=0.5 priority=11/6
nemotron-nano-9b                     0.06    0.23       -       -       -          -  batch=0.5 flex=0.5 priority=11/6
nemotron-super-3-120b                0.15    0.65       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
nova-2-multimodal-embeddings        0.135       0       -       -       -          -  -
palmyra-vision-7b                    0.15     0.6       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
palmyra-x4                            2.5      10       -       -       -          -  -
palmyra-x5                            0.6       6       -       -       -          -  -
pixtral-large-2502                      2       6       -       -       -          -  -
titan-embed-g1-text-02                0.1       0       -       -       -          -  -
titan-embed-image                     0.8       0       -       -       -          -  -
titan-embed-text                      0.1       0       -       -       -          -  -
titan-text-express                    0.2     0.6       -       -       -          -  -
titan-text-lite                      0.15     0.2       -       -       -          -  -
titan-text-premier                    0.5     1.5       -       -       -          -  -
voxtral-mini-3b-2507                 0.04    0.04       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
voxtral-small-24b-2507                0.1     0.3       -       -       -          -  batch=0.5 flex=0.5 priority=1.7
"""

# What Bedrock asks in other places than the cheapest: by the geography of an inference profile (`eu.`), and by region
# (`ap-south-1/`) where a model is asked for without one.
BEDROCK_PLACES: Final = """
ap-northeast-1/deepseek.v3.2         0.74    2.22       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
ap-northeast-1/kimi-k2-thinking      0.73    3.03       -       -       -          -  flex=36/73
ap-northeast-1/kimi-k2.5             0.72     3.6       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
ap-northeast-1/minimax-m2.1          0.36    1.44       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
ap-northeast-1/minimax-m2.5          0.36    1.44       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
ap-northeast-1/qwen3-coder-next       0.6    1.44       -       -       -          -  flex=0.5
ap-northeast-1/qwen3-next-80b-a3b    0.18    1.45       -       -       -          -  flex=0.5 priority=16/9
ap-northeast-1/voxtral-mini-3b-2507   0.05    0.05       -       -       -          -  batch=0.6 flex=0.6 priority=1.8
ap-northeast-1/voxtral-small-24b-2507 0.12 0.36 - - - - batch=0.5 flex=0.5 priority=1.75
ap-south-1/deepseek.v3.2             0.74    2.22       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
ap-south-1/kimi-k2-thinking          0.71    2.94       -       -       -          -  flex=36/71
ap-south-1/kimi-k2.5                 0.72     3.6       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
ap-south-1/llama3-70b-instruct       3.18     4.2       -       -       -          -  -
ap-south-1/llama3-8b-instruct        0.36    0.72       -       -       -          -  -
ap-south-1/minimax-m2.1              0.36    1.44       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
ap-south-1/minimax-m2.5              0.36    1.44       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
ap-south-1/qwen3-coder-next           0.6    1.44       -       -       -          -  flex=0.5
ap-south-1/qwen3-next-80b-a3b        0.18    1.41       -       -       -          -  batch=0.5 flex=0.5 priority=16/9
ap-southeast-2/minimax-m2.5          0.31    1.24       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
ap-southeast-2/qwen3-next-80b-a3b  0.1545   1.236       -       -       -          -  -
ap-southeast-2/voxtral-mini-3b-2507 0.0412  0.0412       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
ap-southeast-2/voxtral-small-24b-2507 0.103 0.309 - - - - batch=0.5 flex=0.5 priority=1.75
ap-southeast-3/deepseek.v3.2         0.74    2.22       -       -       -          -  flex=0.5
ap-southeast-3/kimi-k2.5             0.72     3.6       -       -       -          -  flex=0.5
ap-southeast-3/minimax-m2.1          0.36    1.44       -       -       -          -  flex=0.5
ap-southeast-3/minimax-m2.5          0.36    1.44       -       -       -          -  flex=0.5
ap-southeast-3/qwen3-coder-next       0.6    1.44       -       -       -          -  flex=0.5
apac.nova-2-lite                    0.396   3.311   0.099       -       -          -  -
apac.nova-2-pro-preview             1.375      11 0.34375       -       -          -  -
apac.nova-lite                      0.063   0.252 0.01575       -       -          -  -
apac.nova-micro                     0.037   0.148 0.00925       -       -          -  -
apac.nova-pro                        0.84    3.36    0.21       -       -          -  flex=0.5
ca-central-1/llama3-70b-instruct     3.05    4.03       -       -       -          -  -
ca-central-1/llama3-8b-instruct      0.35    0.69       -       -       -          -  -
eu-central-1/minimax-m2.1            0.36    1.44       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
eu-central-1/minimax-m2.5            0.36    1.44       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
eu-central-1/qwen3-coder-next         0.6    1.44       -       -       -          -  flex=0.5
eu-north-1/deepseek.v3.2             0.74    2.22       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
eu-north-1/kimi-k2.5                 0.72     3.6       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
eu-north-1/minimax-m2.1              0.36    1.44       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
eu-north-1/minimax-m2.5              0.36    1.44       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
eu-south-1/minimax-m2.1              0.36    1.44       -       -       -          -  flex=0.5
eu-south-1/minimax-m2.5              0.36    1.44       -       -       -          -  flex=0.5
eu-south-1/qwen3-coder-next           0.6    1.44       -       -       -          -  flex=0.5
eu-west-1/llama3-70b-instruct        2.86    3.78       -       -       -          -  -
eu-west-1/llama3-8b-instruct         0.32    0.65       -       -       -          -  -
eu-west-1/minimax-m2.1               0.36    1.44       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
eu-west-1/minimax-m2.5               0.36    1.44       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
eu-west-1/qwen3-coder-next            0.6    1.44       -       -       -          -  flex=0.5
eu-west-1/qwen3-next-80b-a3b         0.18    1.41       -       -       -          -  flex=0.5 priority=16/9
eu-west-2/llama3-70b-instruct        3.45    4.55       -       -       -          -  -
eu-west-2/llama3-8b-instruct         0.39    0.78       -       -       -          -  -
eu-west-2/minimax-m2.1               0.47    1.86       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
eu-west-2/minimax-m2.5               0.47    1.86       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
eu-west-2/nemotron-super-3-120b      0.23    1.01       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
eu-west-2/qwen3-coder-next           0.78    1.86       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
eu-west-2/qwen3-next-80b-a3b         0.23    1.86       -       -       -          -  flex=12/23 priority=40/23
eu-west-2/voxtral-mini-3b-2507       0.06    0.06       -       -       -          -  batch=0.5 flex=0.5 priority=11/6
eu-west-2/voxtral-small-24b-2507     0.16    0.47       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
eu-west-3/mistral-7b-instruct         0.2    0.26       -       -       -          -  -
eu-west-3/mistral-large-2402          5.2    15.6       -       -       -          -  -
eu-west-3/mixtral-8x7b-instruct      0.59    0.91       -       -       -          -  -
eu.deepseek.v3.2                     0.74    2.22       -       -       -          -  flex=0.5
eu.llama3-2-1b-instruct              0.13    0.13       -       -       -          -  -
eu.llama3-2-3b-instruct              0.19    0.19       -       -       -          -  -
eu.nova-2-lite                      0.429   3.597 0.10725       -       -          -  -
eu.nova-2-pro-preview               1.375      11 0.34375       -       -          -  -
eu.nova-lite                        0.078   0.312  0.0195       -       -          -  -
eu.nova-micro                       0.046   0.184  0.0115       -       -          -  -
eu.nova-pro                          1.05     4.2  0.2625       -       -          -  flex=0.5
global.glm-5.3                       1.68    5.28   0.312     2.1       -          -  batch=0.5 flex=0.5 priority=1.75
global.grok-4.6                         2       6     0.5       -       -          -  flex=0.5 priority=1.75
global.grok-4.7                         2       6     0.5       -       -          -  flex=0.5 priority=1.75
global.kimi-k3                          3      15     0.3    3.75       -          -  flex=0.5 priority=1.75
jp.nova-2-lite                      0.396   3.311   0.099       -       -          -  batch=0.5 flex=0.5 priority=1.75
sa-east-1/deepseek.v3.2              0.74    2.22       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
sa-east-1/kimi-k2-thinking           0.73    3.03       -       -       -          -  flex=36/73
sa-east-1/kimi-k2.5                  0.72     3.6       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
sa-east-1/llama3-70b-instruct        4.45    5.88       -       -       -          -  -
sa-east-1/llama3-8b-instruct          0.5    1.01       -       -       -          -  -
sa-east-1/minimax-m2.1               0.36    1.44       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
sa-east-1/minimax-m2.5               0.36    1.44       -       -       -          -  batch=0.5 flex=0.5 priority=1.75
sa-east-1/qwen3-coder-next            0.6    1.44       -       -       -          -  flex=0.5
sa-east-1/qwen3-next-80b-a3b         0.18    1.45       -       -       -          -  flex=0.5 priority=16/9
us-gov-east-1/amazon.titan-embed-text-v1    0.1      0      - - - -  -
us-gov-east-1/amazon.titan-embed-text-v2:0    0.2      0      - - - -  -
us-gov-east-1/llama3-70b-instruct          2.65    3.5      - - - -  -
us-gov-east-1/llama3-8b-instruct            0.3    0.6      - - - -  -
us-gov-east-1/titan-text-express            1.3    1.7      - - - -  -
us-gov-east-1/titan-text-lite               0.3    0.4      - - - -  -
us-gov-east-1/titan-text-premier            0.5    1.5      - - - -  -
us-gov-west-1/amazon.titan-embed-text-v1    0.1      0      - - - -  -
us-gov-west-1/amazon.titan-embed-text-v2:0   0.11      0      - - - -  -
us-gov-west-1/llama3-70b-instruct          2.65    3.5      - - - -  -
us-gov-west-1/llama3-8b-instruct            0.3    0.6      - - - -  -
us-gov-west-1/titan-text-express            0.8    1.6      - - - -  -
us-gov-west-1/titan-text-lite               0.3    0.4      - - - -  -
us-gov-west-1/titan-text-premier            0.5    1.5      - - - -  -
us-gov.grok-4.6                            2.64   7.92   0.66 - - -  -
us.glm-5.3                          1.848   5.808  0.3432    2.31       -          -  batch=0.5 flex=0.5 priority=1.75
us.grok-4.6                           2.2     6.6    0.55       -       -          -  flex=0.5 priority=1.75
us.grok-4.7                           2.2     6.6    0.55       -       -          -  flex=0.5 priority=1.75
us.nova-2-lite                       0.33    2.75  0.0825       -       -          -  batch=0.5 flex=0.5 priority=1.75
us.nova-2-pro-preview               1.375      11 0.34375       -       -          -  batch=0.5 priority=1.75
"""

# Databricks' own price for what others sell too: its units make amounts that are not round.
DATABRICKS: Final = """
databricks-bge-large-en               0.1       0       -       -       -          -  -
databricks-claude-sonnet-4-1            3      15     0.3    3.75       -          -  -
databricks-deepseek-v4-1-flash        0.3     1.2 0.03003       -       -          -  priority=1.75
databricks-deepseek-v4-1-flash-1017    0.3     1.2   0.007       -       -          -  -
databricks-deepseek-v4-flash-0731    0.14    0.28   0.028       -       -          -  -
databricks-deepseek-v4-pro-0813      1.32    3.96   0.132       -       -          -  -
databricks-gemini-2-5-flash           0.3     2.5    0.03       -       -          -  -
databricks-gemini-2-5-flash-lite    0.125     0.5 0.01253       -       -          -  -
databricks-gemini-2-5-pro            1.25      10   0.125       -       -          -  -
databricks-gemini-3-1-flash-lite   0.3125   1.875 0.03122       -       -          -  priority=1.8
databricks-gemini-3-1-pro             2.5      15    0.25       -       - 200k:2:1.5  priority=1.8
databricks-gemini-3-5-flash         1.875   11.25  0.1875       -       -          -  priority=1.8
databricks-gemini-3-5-flash-lite    0.375   3.125 0.03752       -       -          -  priority=1.8
databricks-gemini-3-6-flash          0.75    3.75 0.07497       -       -          -  priority=1.8
databricks-gemini-3-7-flash          0.75    3.75 0.07497       -       -          -  priority=1.8
databricks-gemini-3-8-flash          0.75    3.75 0.07497       -       -          -  priority=1.8
databricks-gemini-3-flash           0.625    3.75 0.06251       -       -          -  priority=1.8
databricks-gemini-3-pro               2.5      15    0.25       -       -          -  -
databricks-gemini-4-argon             2.5    12.5   0.125       -       -          -  priority=1.8
databricks-gemma-3-12b               0.15     0.5       -       -       -          -  -
databricks-glm-5-2                    1.4     4.4    0.26       -       -          -  priority=1.75
databricks-glm-5-3                    1.4     4.4    0.26       -       -          -  priority=1.75
databricks-glm-5-3-flash             0.15     0.5 0.03003       -       -          -  priority=1.75
databricks-gpt-5-1                   1.25      10   0.125       -       -          -  priority=2
databricks-gpt-5-2                   1.75      14   0.175       -       -          -  priority=2
databricks-gpt-5-3-codex             1.75      14   0.175       -       -          -  priority=2
databricks-gpt-5-4                    2.5      15    0.25       -       - 272k:2:1.5  priority=2
databricks-gpt-5-4-mini              0.75     4.5 0.07497       -       -          -  priority=2
databricks-gpt-5-4-nano               0.2    1.25 0.02002       -       -          -  -
databricks-gpt-5-4-pro                 30     180       -       -       - 272k:2:1.5  -
databricks-gpt-5-5                      5      30     0.5       -       - 272k:2:1.5  priority=2.5
databricks-gpt-5-5-pro                 30     180       -       -       - 272k:2:1.5  -
databricks-gpt-5-6-luna               0.2     1.2 0.02002    0.25       - 272k:2:1.5  priority=2
databricks-gpt-5-6-sol                  4      20     0.4       5       - 272k:2:1.5  priority=2
databricks-gpt-5-6-terra                2      12     0.2     2.5       - 272k:2:1.5  priority=2
databricks-gpt-6-1-sol                  2      10     0.1     2.5       - 272k:2:1.5  priority=2
databricks-gpt-6-1-terra                1       5 0.04998    1.25       - 272k:2:1.5  priority=2
databricks-gpt-oss-120b              0.15     0.6       -       -       -          -  -
databricks-gpt-oss-20b               0.07     0.3       -       -       -          -  -
databricks-grok-4-6                   2.5     7.5   0.625       -       -          -  -
databricks-grok-4-7                   2.5     7.5   0.625       -       -          -  -
databricks-gte-large-en              0.13       0       -       -       -          -  -
databricks-inkling                      1    4.05    0.17       -       -          -  -
databricks-kimi-k2-7                 0.95       4    0.19       -       -          -  -
databricks-kimi-k3                      3      15     0.3       -       -          -  priority=1.75
databricks-llama-4-maverick           0.5     1.5       -       -       -          -  -
databricks-meta-llama-3-1-8b-instruct   0.15    0.45       -       -       -          -  -
databricks-meta-llama-3-3-70b-instruct    0.5     1.5       -       -       -          -  -
databricks-qwen3-embedding-0-6b    0.02002       0       -       -       -          -  -
databricks-qwen3-next-80b-a3b-instruct   0.15     1.2       -       -       -          -  -
databricks-qwen35-122b-a10b          0.22     2.2       -       -       -          -  priority=1.75
"""
