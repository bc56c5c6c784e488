using System.Text.RegularExpressions;
using RbeMl.Layers;

namespace RbeMl.Files;

/// <summary>
/// The names and shapes of a Hugging Face GPT-2's tensors. D width, F feed-forward width, V vocabulary, P positions. Linear maps are stored [in, out]
/// (<c>Conv1D</c>), here as <see cref="Transposed"/> = true, or [out, in]; a directory's c_attn, which is never square, tells which, for all its maps.
/// Names are those of Hugging Face without prefixes; a directory may have them behind any of <c>transformer.</c>, <c>model.</c>, <c>module.</c> and
/// <c>_orig_mod.</c>, which training tools leave, and a tensor that two parts share under the name of either.
/// </summary>
/// <param name="Config">Shapes.</param>
/// <param name="Transposed">Whether linear maps are [in, out].</param>
internal sealed partial record Gpt2TensorNames(TransformerConfig Config, bool Transposed)
{
    public const string UsualPrefix = "transformer.";
    public const string Head = "lm_head.weight";
    public const string TokenEmbedding = "wte.weight";
    public const string PositionEmbedding = "wpe.weight";
    public const string FinalNorm = "ln_f";

    private static readonly string[] Prefixes = [UsualPrefix, "model.", "module.", "_orig_mod."];

    // What the tensors are called in a directory, by the names here.
    private IReadOnlyDictionary<string, string> Stored { get; init; } = new Dictionary<string, string>();

    /// <summary>The name of a part of a block, e.g. <c>attn.c_attn</c>.</summary>
    public static string Part(int layer, string part) => $"h.{layer}.{part}";

    /// <summary>A name as Hugging Face writes it.</summary>
    public static string Usual(string name) => name == Head ? Head : UsualPrefix + name;

    /// <summary>A name without the prefixes of tools.</summary>
    public static string Plain(string name)
    {
        while (Prefixes.FirstOrDefault(prefix => name.StartsWith(prefix, StringComparison.Ordinal)) is { } prefix) name = name[prefix.Length..];
        return name;
    }

    /// <summary>Whether a directory may hold this tensor under another name: that of the head, or of the token embedding.</summary>
    public static bool MayBeShared(string name) => Plain(name) is Head or TokenEmbedding;

    /// <summary>Whether names are those of a GPT-2.</summary>
    public static bool AreGpt2(SafetensorsSet tensors)
    {
        HashSet<string> names = [.. tensors.Tensors.Select(t => Plain(t.Name))];
        return names.Contains(Part(0, "attn.c_attn") + ".weight") && names.Contains(PositionEmbedding);
    }

    /// <summary>What a tensor is called in the directory.</summary>
    public string this[string name] => Stored.GetValueOrDefault(name, name);

    /// <summary>All tensors with their shapes; of a head if it is not tied.</summary>
    public IEnumerable<(string Name, long[] Shape)> All()
    {
        long d = Config.Width, f = Config.HiddenWidth;
        yield return (TokenEmbedding, [Config.Vocabulary, d]);
        yield return (PositionEmbedding, [Config.MaxSequenceLength, d]);
        for (int l = 0; l < Config.Layers; l++)
        {
            foreach ((string part, long inputs, long outputs) in ((string, long, long)[])[("attn.c_attn", d, 3 * d), ("attn.c_proj", d, d),
                ("mlp.c_fc", d, f), ("mlp.c_proj", f, d)])
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

    /// <summary>Finds names and orientation and checks names, types and shapes; reads no data.</summary>
    public static Gpt2TensorNames Match(SafetensorsSet tensors, TransformerConfig config)
    {
        Dictionary<string, string> stored = Find(tensors, config);
        if (config.Layers > stored.Count)
        {
            throw new RbeFileException(tensors.Path,
                $"has {Amount.Of(stored.Count, "tensor")}, too few for the {Amount.Of(config.Layers, "layer")} of {Gpt2ConfigJson.FileName}. Correct "
                    + $"the configuration, or download the model again.");
        }

        long d = config.Width;
        bool linear = stored.TryGetValue(Part(0, "attn.c_attn") + ".weight", out string? attention) && tensors.Find(attention).Shape.SequenceEqual([3 * d, d]);
        Gpt2TensorNames names = new(config, !linear) { Stored = stored };
        Dictionary<string, long[]> wanted = names.All().ToDictionary(t => t.Name, t => t.Shape, StringComparer.Ordinal);
        string prefix = CommonPrefix(stored);
        string[] missing = [.. wanted.Keys.Where(name => !stored.ContainsKey(name)).Select(name => name == Head ? Head : prefix + name)];
        string[] extra =
            [.. stored.Where(name => !wanted.ContainsKey(name.Key) && name.Key != Head && !CausalBuffer().IsMatch(name.Key)).Select(name => name.Value)];
        if (missing.Length + extra.Length > 0) throw new RbeFileException(tensors.Path, Difference(missing, extra));
        foreach ((string name, long[] shape) in wanted.Append(new(Head, wanted[TokenEmbedding])))
        {
            if (!stored.TryGetValue(name, out string? found)) continue;
            TensorReading.RequireShape(tensors, found, shape);
        }

        return names;
    }

    /// <summary>Whether the directory has a head of its own, beside the token embedding.</summary>
    public bool HasOwnHead => Stored.TryGetValue(Head, out string? head) && head != this[TokenEmbedding];

    // A shared tensor is kept under one of its names: which other it has is said in the metadata, or by the configuration, which ties head and embedding.
    private static Dictionary<string, string> Find(SafetensorsSet tensors, TransformerConfig config)
    {
        Dictionary<string, string> stored = new(StringComparer.Ordinal);
        foreach (SafetensorsTensor tensor in tensors.Tensors)
        {
            string name = Plain(tensor.Name);
            if (!stored.TryAdd(name, tensor.Name))
            {
                throw new RbeFileException(tensors.Path,
                    $"holds \"{name}\" twice, as \"{stored[name]}\" and as \"{tensor.Name}\". Take the weights from one model.");
            }
        }

        foreach ((string alias, string name) in tensors.Aliases) stored.TryAdd(Plain(alias), name);
        if (config.TiedHead && stored.TryGetValue(Head, out string? head)) stored.TryAdd(TokenEmbedding, head);
        return stored;
    }

    private static string CommonPrefix(Dictionary<string, string> stored) => stored
        .Where(name => name.Key != Head && name.Value.EndsWith(name.Key, StringComparison.Ordinal))
        .GroupBy(name => name.Value[..^name.Key.Length]).MaxBy(group => group.Count())?.Key ?? "";

    private static string Difference(string[] missing, string[] extra)
    {
        string mend = missing is [Head] ? "Set tie_word_embeddings to true if its head is the token embedding."
            : "Correct the configuration, or download the model again.";
        return $"{TensorReading.Difference(missing, extra, $"a GPT-2 of this {Gpt2ConfigJson.FileName}")}. {mend}";
    }

    // The causal mask and its fill value, which older versions kept among the weights.
    [GeneratedRegex(@"^h\.[0-9]{1,6}\.attn\.(bias|masked_bias)$", RegexOptions.CultureInvariant)]
    private static partial Regex CausalBuffer();
}
