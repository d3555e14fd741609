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
claude-opus-4-8                     5      25     0.5    6.25      10          -  batch=0.5
claude-opus-5                       5      25     0.5    6.25      10          -  batch=0.5
claude-opus-5-5                     4      20     0.2       5       8          -  batch=0.5
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
gpt-6-astra                        10      50       1    12.5      25 272k:2:1.5  batch=0.5 flex=0.5 priority=2
gpt-6-luna                        0.1     0.5    0.01   0.125    0.25 272k:2:1.5  batch=0.5 flex=0.5 priority=2
gpt-6-sol                           2      10     0.2     2.5       5 272k:2:1.5  batch=0.5 flex=0.5 priority=2
gpt-6.1-sol                         2      10     0.1     2.5       5 272k:2:1.5  batch=0.5 flex=0.5 priority=2
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
"""
