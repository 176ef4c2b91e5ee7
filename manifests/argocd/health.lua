-- What Argo CD is to think of an object of storage.clawbernetes.io, of whatever kind: docs/gitops.md has it as a table.
-- Argo CD runs Lua 5.1 with the base and table libraries alone: no string, no math.
local kind, metadata, status = obj.kind, obj.metadata or {}, obj.status or {}

local conditions, lacking = {}, nil
if status.conditions ~= nil then
  for _, condition in ipairs(status.conditions) do
    conditions[condition.type] = condition
    if lacking == nil and condition.type ~= "Ready" and condition.status == "False" and condition.message ~= "" then
      lacking = condition.message
    end
  end
end
local ready = conditions.Ready

local function holds(type)
  return conditions[type] ~= nil and conditions[type].status == "True"
end

local function health(word, condition, otherwise)
  local message = otherwise or ""
  if condition ~= nil then
    if condition.message ~= nil and condition.message ~= "" then
      message = condition.message
    end
    if condition.reason ~= nil and word ~= "Healthy" then
      message = condition.reason .. ": " .. message
    end
  end
  return { status = word, message = message }
end

if metadata.deletionTimestamp ~= nil then
  return health("Progressing", conditions.DeletionBlocked, "It is being deleted.")
end

-- A statement of what is allowed: nobody acts on it.
if kind == "VolumeClass" then
  return health("Healthy", nil)
end

-- What was said of an older generation is not about this one.
if ready == nil or (metadata.generation ~= nil and status.observedGeneration ~= metadata.generation) then
  return health("Progressing", nil, "Nobody has acted on it yet.")
end

if holds("Stalled") then
  return health("Degraded", conditions.Stalled)
end
if ready.reason == "Paused" then
  return health("Suspended", ready)
end
if ready.reason == "NodeLost" then
  return health("Degraded", ready)
end
if holds("Reconciling") then
  return health("Progressing", conditions.Reconciling)
end
if ready.status ~= "True" then
  return health("Progressing", ready)
end

if ready.reason == "Suspended" then
  return health("Suspended", ready, "It starts no runs until it is no longer suspended.")
end

-- A mount that some workload sees an older, dead copy of.
if kind == "VolumeMount" and conditions.Healthy ~= nil and conditions.Healthy.status == "False" then
  return health("Degraded", conditions.Healthy)
end

-- A schedule that is kept to has something to say when its last run failed, or when the next one waits for others.
if kind == "BackupSchedule" or kind == "SnapshotSchedule" then
  local isWaiting = status.active ~= nil and #status.active > 0
  if not isWaiting and ready.message ~= nil and ready.message ~= "" then
    return { status = "Degraded", message = ready.message }
  end
end

return health("Healthy", ready, lacking)
