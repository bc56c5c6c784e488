using System.Text.Json.Nodes;
using RbeMl.Files;

namespace RbeMl.Tests.Training;

/// <summary>Training states that are sound containers and say something else.</summary>
internal static class StateFiles
{
    /// <summary>Writes a state again with changes.</summary>
    /// <param name="from">A state.</param>
    /// <param name="to">Where the changed one goes.</param>
    /// <param name="metadata">Changes the metadata.</param>
    /// <param name="rename">Names of its tensors.</param>
    /// <param name="value">Changes the values of a tensor of floats.</param>
    public static void Change(string from, string to, Action<JsonObject> metadata, Func<string, string>? rename = null, Action<string, float[]>? value = null)
    {
        using RbeContainer file = RbeContainer.Open(from);
        JsonObject json = JsonNode.Parse(file.Metadata.GetRawText())!.AsObject();
        metadata(json);
        List<RbeTensor> tensors = [];
        foreach (RbeTensorInfo tensor in file.Tensors)
        {
            string name = rename?.Invoke(tensor.Name) ?? tensor.Name;
            if (tensor.Element != RbeElement.F32)
            {
                tensors.Add(RbeTensor.From(name, file.Read<byte>(tensor.Name)));
                continue;
            }

            float[] values = file.Read<float>(tensor.Name);
            value?.Invoke(tensor.Name, values);
            tensors.Add(RbeTensor.From(name, values));
        }

        RbeContainerWriter.Write(to, json, tensors);
    }
}
