using System.Text.Json.Nodes;
using RbeMl.Files;
using RbeMl.Fuzz.Mutation;

namespace RbeMl.Fuzz.Kinds;

/// <summary>A safetensors file with tensors of several types.</summary>
internal sealed class SafetensorsKind() : SingleFileKind(() => [Sample("a"), Sample("b")])
{
    public override string Name => "safetensors";

    protected override string FileName => "model.safetensors";

    public override object Load(CaseFiles files, Dice dice) => SafetensorsFile.Open(files.WrittenFile());

    public override void Use(object loaded, Dice dice)
    {
        SafetensorsFile file = (SafetensorsFile)loaded;
        foreach (SafetensorsTensor tensor in file.Tensors)
        {
            file.CopyTo(tensor.Name, Stream.Null);
            if (SafetensorsElements.IsFloat(tensor.Element)) file.ReadFloats(tensor.Name);
        }
    }

    internal static byte[] Sample(string prefix) => Samples.FileBytes(path => SafetensorsWriter.Write(
        path,
        [
            SafetensorsSource.From(prefix + ".weight", new float[6], [2, 3]),
                SafetensorsSource.From(prefix + ".half", new float[5], [5], SafetensorsElement.F16),
            SafetensorsSource.From(prefix + ".bias", new float[4], [4, 1], SafetensorsElement.BF16),
                SafetensorsSource.From(prefix + ".scalar", new float[1], []),
            SafetensorsSource.From(prefix + ".empty", [], [0, 7]),
                SafetensorsSource.From(prefix + ".ids", SafetensorsElement.I64, [2], sink => sink(new byte[16])),
        ],
        new Dictionary<string, string> { ["format"] = "pt" }));

    protected override byte[] Mutate(byte[] sample, Dice dice, byte[] other) => SafetensorsParts.Mutate(sample, dice, other);
}

/// <summary>Two safetensors files and their index.</summary>
internal sealed class ShardedKind : FuzzKind
{
    private readonly Lazy<(string Name, byte[] Bytes)[]> _sample = new(() =>
    {
        JsonObject map = [];
        foreach (string prefix in (string[])["a", "b"])
        {
            foreach (string part in (string[])["weight", "half", "bias", "scalar", "empty", "ids"]) map[$"{prefix}.{part}"] = $"{prefix}.safetensors";
        }

        byte[] index = Samples.Utf8(new JsonObject { ["metadata"] = new JsonObject { ["total_size"] = 124 }, ["weight_map"] = map }.ToJsonString());
        return [(SafetensorsSet.IndexName, index), ("a.safetensors", SafetensorsKind.Sample("a")), ("b.safetensors", SafetensorsKind.Sample("b"))];
    });

    public override string Name => "safetensors-index";

    public override IReadOnlyList<(string Name, byte[] Bytes)> Make(Dice dice)
    {
        (string Name, byte[] Bytes)[] files = [.. _sample.Value];
        int index = dice.Once(2) ? 0 : dice.Below(files.Length);
        files[index].Bytes = index == 0 ? JsonMutator.Mutate(files[0].Bytes, dice) : SafetensorsParts.Mutate(files[index].Bytes, dice, files[^index].Bytes);
        return files;
    }

    public override object Load(CaseFiles files, Dice dice) => SafetensorsSet.Open(files.Written());

    public override void Use(object loaded, Dice dice)
    {
        SafetensorsSet set = (SafetensorsSet)loaded;
        foreach (SafetensorsTensor tensor in set.Tensors) set.CopyTo(tensor.Name, Stream.Null);
    }
}
