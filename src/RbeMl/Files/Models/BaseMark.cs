using System.IO.Hashing;
using System.Text;
using System.Text.Json.Nodes;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Files;

/// <summary>
/// Which model a delta is of: a checksum of all that it computes with, and a few words for messages. Dropout, tokenizer and the ids that end
/// a text do not count.
/// </summary>
/// <param name="Checksum">XxHash128 of shapes, formats and all tensors, hexadecimal.</param>
/// <param name="Description">Its shape in words.</param>
internal sealed record BaseMark(string Checksum, string Description)
{
    private static readonly string[] s_training = ["dropout", "attentionDropout", "embeddingDropout"];

    /// <summary>The mark of a model.</summary>
    public static BaseMark Of(TransformerModel<float> model)
    {
        (JsonObject metadata, List<RbeTensor> tensors) = ModelFile.Content(model, null, null);
        JsonObject config = (JsonObject)metadata["config"]!;
        foreach (string key in s_training) config.Remove(key);
        XxHash128 hash = new();
        hash.Append(Encoding.UTF8.GetBytes(config.ToJsonString()));
        hash.Append(Encoding.UTF8.GetBytes(metadata["matrices"]!.ToJsonString()));
        foreach (RbeTensor tensor in tensors)
        {
            hash.Append(Encoding.UTF8.GetBytes(tensor.Name));
            tensor.Read(part => hash.Append(part));
        }

        TransformerConfig shape = model.Config;
        string checksum = Convert.ToHexStringLower(hash.GetCurrentHash());
        return new BaseMark(checksum,
            $"{Amount.Of(shape.Layers, "block")} of width {shape.Width}, {Amount.Of(shape.Vocabulary, "token id")}, checksum {checksum}");
    }
}
