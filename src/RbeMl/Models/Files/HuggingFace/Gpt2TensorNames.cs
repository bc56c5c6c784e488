using System.Text.RegularExpressions;
using RbeMl.Layers;

namespace RbeMl.Models.Files.HuggingFace;

/// <summary>
/// The names and shapes of a Hugging Face GPT-2's tensors. D width, F feed-forward width, V vocabulary, P positions. Linear maps are stored [in, out]
/// (<c>Conv1D</c>), here as <see cref="Transposed"/> = true, or [out, in]; a directory's c_attn, which is never square, tells which, for all its maps.
/// </summary>
/// <param name="Config">Shapes.</param>
/// <param name="Prefix"><c>transformer.</c>, or nothing.</param>
/// <param name="Transposed">Whether linear maps are [in, out].</param>
internal sealed partial record Gpt2TensorNames(TransformerConfig Config, string Prefix, bool Transposed)
{
    public const string UsualPrefix = "transformer.";
    public const string Head = "lm_head.weight";

    public string TokenEmbedding => Prefix + "wte.weight";

    public string PositionEmbedding => Prefix + "wpe.weight";

    public string FinalNorm => Prefix + "ln_f";

    /// <summary>The name of a part of a block, e.g. <c>attn.c_attn</c>.</summary>
    public string Part(int layer, string part) => $"{Prefix}h.{layer}.{part}";

    /// <summary>All tensors with their shapes; of a head if it is not tied.</summary>
    public IEnumerable<(string Name, long[] Shape)> All()
    {
        long d = Config.Width, f = Config.HiddenWidth;
        yield return (TokenEmbedding, [Config.Vocabulary, d]);
        yield return (PositionEmbedding, [Config.MaxSequenceLength, d]);
        for (int l = 0; l < Config.Layers; l++)
        {
            foreach ((string part, long inputs, long outputs) in ((string, long, long)[])[("attn.c_attn", d, 3 * d), ("attn.c_proj", d, d), ("mlp.c_fc", d, f), ("mlp.c_proj", f, d)])
            {
                yield return (Part(l, part) + ".weight", Transposed ? [inputs, outputs] : [outputs, inputs]);
                yield return (Part(l, part) + ".bias", [outputs]);
            }

            foreach (string norm in (string[])["ln_1", "ln_2"])
            {
                yield return (Part(l, norm) + ".weight", [d]);
                yield return (Part(l, norm) + ".bias", [d]);
            }
        }

        yield return (FinalNorm + ".weight", [d]);
        yield return (FinalNorm + ".bias", [d]);
        if (!Config.TiedHead) yield return (Head, [Config.Vocabulary, d]);
    }

    /// <summary>Finds prefix and orientation and checks names, types and shapes; reads no data.</summary>
    public static Gpt2TensorNames Match(SafetensorsSet tensors, TransformerConfig config)
    {
        string prefix = tensors.Contains(UsualPrefix + "wte.weight") ? UsualPrefix : "";
        string attention = new Gpt2TensorNames(config, prefix, true).Part(0, "attn.c_attn") + ".weight";
        long d = config.Width;
        bool linear = tensors.Contains(attention) && tensors.Find(attention).Shape.SequenceEqual([3 * d, d]);
        Gpt2TensorNames names = new(config, prefix, !linear);
        Dictionary<string, long[]> wanted = names.All().ToDictionary(t => t.Name, t => t.Shape, StringComparer.Ordinal);
        string[] missing = [.. wanted.Keys.Where(name => !tensors.Contains(name))];
        string[] extra = [.. tensors.Tensors.Select(t => t.Name).Where(name => !wanted.ContainsKey(name) && name != Head && !CausalBuffer().IsMatch(name))];
        if (missing.Length + extra.Length > 0) throw new RbeFileException(tensors.Path, Difference(missing, extra));
        foreach ((string name, long[] shape) in wanted.Append(new(Head, wanted[names.TokenEmbedding])))
        {
            if (!tensors.Contains(name)) continue;
            SafetensorsTensor tensor = tensors.FileOf(name).RequireFloats(tensors.Find(name));
            if (!tensor.Shape.SequenceEqual(shape))
            {
                throw new RbeFileException(tensors.FileOf(name).Path, $"tensor \"{name}\": {Gpt2ConfigJson.FileName} asks for [{string.Join(", ", shape)}], the file has {tensor.Describe()}. Correct the configuration, or take both from one model.");
            }
        }

        return names;
    }

    private static string Difference(string[] missing, string[] extra)
    {
        string problem = missing.Length == 0 ? "" : $"lacks {List(missing)}";
        if (extra.Length > 0) problem += $"{(problem.Length == 0 ? "" : " and ")}holds {List(extra)}, which a GPT-2 of this {Gpt2ConfigJson.FileName} does not have";
        string mend = missing is [Head] ? "Set tie_word_embeddings to true if its head is the token embedding." : "Correct the configuration, or download the model again.";
        return $"{problem}. {mend}";
    }

    private static string List(string[] names)
    {
        const int Most = 6;
        return string.Join(", ", names.Take(Most).Select(name => $"\"{name}\"")) + (names.Length > Most ? $" and {names.Length - Most} more" : "");
    }

    // The causal mask and its fill value, which older versions kept among the weights.
    [GeneratedRegex(@"^(transformer\.)?h\.[0-9]{1,6}\.attn\.(bias|masked_bias)$", RegexOptions.CultureInvariant)]
    private static partial Regex CausalBuffer();
}
