using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using RbeMl.Files;
using RbeMl.Models;

namespace RbeMl.Tests.Files;

/// <summary>A small model file with every kind of part, damaged in every way: never anything but a typed error that names the file.</summary>
public sealed class ModelMutationTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly byte[] _bytes;
    private readonly int _headerLength;

    public ModelMutationTests()
    {
        string path = _folder.File("sound.rbe");
        FixtureModel.Save(path);
        _bytes = File.ReadAllBytes(path);
        _headerLength = (int)BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(16));
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Every_flipped_byte_is_a_typed_error()
    {
        string path = _folder.File("flipped.rbe");
        File.WriteAllBytes(path, _bytes);
        Random random = new(1);
        for (int i = 0; i < _bytes.Length; i++)
        {
            Write(path, i, (byte)(_bytes[i] ^ random.Next(1, 256)));
            AssertRefused(path, $"byte {i}");
            Write(path, i, _bytes[i]);
        }

        ModelFile.Load(path).Dispose();
    }

    [Fact]
    public void Every_cut_is_a_typed_error()
    {
        string path = _folder.File("cut.rbe");
        File.WriteAllBytes(path, _bytes);
        for (int length = _bytes.Length - 1; length >= 0; length--)
        {
            using (FileStream file = new(path, FileMode.Open)) file.SetLength(length);
            AssertRefused(path, $"cut to {length}");
        }
    }

    [Fact]
    public void Garbage_and_swapped_payloads_are_typed_errors()
    {
        string path = _folder.File("garbage.rbe");
        Random random = new(2);
        for (int i = 0; i < 1500; i++)
        {
            byte[] bytes = [.. _bytes];
            Span<byte> part = bytes.AsSpan(random.Next(bytes.Length));
            part = part[..random.Next(1, Math.Min(part.Length, 300) + 1)];
            random.NextBytes(part);
            if (bytes.AsSpan().SequenceEqual(_bytes)) continue;
            File.WriteAllBytes(path, bytes);
            AssertRefused(path, $"garbage {i}");
        }

        RbeTensorInfo[] tensors;
        using (RbeContainer file = RbeContainer.Open(_folder.File("sound.rbe"))) tensors = [.. file.Tensors];
        int swaps = 0;
        for (int a = 0; a < tensors.Length; a++)
        {
            for (int b = a + 1; b < tensors.Length; b++)
            {
                if (tensors[a].ByteLength != tensors[b].ByteLength || tensors[a].Hash == tensors[b].Hash) continue;
                byte[] bytes = [.. _bytes];
                Payload(_bytes, tensors[a]).CopyTo(Payload(bytes, tensors[b]));
                Payload(_bytes, tensors[b]).CopyTo(Payload(bytes, tensors[a]));
                File.WriteAllBytes(path, bytes);
                AssertRefused(path, $"{tensors[a].Name} and {tensors[b].Name} swapped");
                swaps++;
            }
        }

        Assert.True(swaps > 20);
    }

    [Fact]
    public void Every_changed_byte_of_the_header_with_a_right_checksum_is_read_or_a_typed_error()
    {
        string path = _folder.File("header.rbe");
        Random random = new(3);
        int refused = 0;
        for (int i = 0; i < _headerLength; i++)
        {
            byte[] header = _bytes[32..(32 + _headerLength)];
            header[i] = random.Next(3) == 0 ? (byte)random.Next(256) : (byte)"0123456789-\"{}[],:"[random.Next(18)];
            refused += LoadsOrRefuses(path, header, $"header byte {i}") ? 0 : 1;
        }

        Assert.InRange(refused, _headerLength / 2, _headerLength);
    }

    [Fact]
    public void Every_value_of_the_header_may_be_absurd_without_absurd_memory()
    {
        string path = _folder.File("absurd.rbe");
        string[] values =
            ["0", "-1", "1", "33", "65536", "16777216", "2147483647", "2147483648", "4294967297", "9223372036854775807", "9223372036854775808",
                "1e99", "0.5", "null", "true", "[]", "{}", "\"\"", "\"x\""];
        JsonNode root = JsonNode.Parse(_bytes.AsSpan(32, _headerLength))!;
        int[] tried = [0, 0];
        foreach (string place in Leaves(root, "").ToArray())
        {
            // Merges are alike; a few of them do.
            if (place.Contains("merges/", StringComparison.Ordinal) && !place.EndsWith('3')) continue;
            foreach (string value in values)
            {
                JsonNode changed = root.DeepClone();
                Replace(changed, place, JsonNode.Parse(value));
                tried[LoadsOrRefuses(path, Encoding.UTF8.GetBytes(changed.ToJsonString()), $"{place} = {value}") ? 1 : 0]++;
            }
        }

        Assert.True(tried[0] > 2000 && tried[1] > 10, $"{tried[0]} refused, {tried[1]} read");
    }

    [Fact]
    public void Matrices_of_nothing_cannot_claim_memory()
    {
        // Many layers of huge matrices without parts, each a short line of metadata.
        JsonObject root = JsonNode.Parse(_bytes.AsSpan(32, _headerLength))!.AsObject();
        JsonObject metadata = root["metadata"]!.AsObject(), config = metadata["config"]!.AsObject();
        config["layers"] = 200;
        config["width"] = 32768;
        config["feedForwardWidth"] = 32768;
        JsonArray matrices = [];
        foreach (int layer in Enumerable.Range(0, 200))
        {
            foreach (string part in new[] { "attention.query", "attention.key", "attention.value", "attention.output", "feedforward.expand",
                "feedforward.contract" })
            {
                JsonObject matrix = metadata["matrices"]![0]!.DeepClone().AsObject();
                (matrix["name"], matrix["rows"], matrix["columns"], matrix["alphas"], matrix["runs"], matrix["bits"]) =
                    ($"blocks.{layer}.{part}", 32768, 32768, false, 0, 0);
                matrices.Add(matrix);
            }
        }

        metadata["matrices"] = matrices;
        Assert.False(LoadsOrRefuses(_folder.File("claim.rbe"), Encoding.UTF8.GetBytes(root.ToJsonString()), "matrices of nothing"));
    }

    // Whether the file with this header loads; anything but a typed error, and memory out of proportion, fails.
    private bool LoadsOrRefuses(string path, byte[] header, string what)
    {
        int from = (int)RbeContainerWriter.Align(32 + _headerLength), to = (int)RbeContainerWriter.Align(32 + header.Length);
        byte[] bytes = new byte[to + _bytes.Length - from];
        _bytes.AsSpan(0, 32).CopyTo(bytes);
        header.CopyTo(bytes, 32);
        _bytes.AsSpan(from).CopyTo(bytes.AsSpan(to));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16), (ulong)header.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(24), RbeContainerWriter.HeaderHash(bytes.AsSpan(0, 24), header));
        File.WriteAllBytes(path, bytes);
        long before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            using ModelBundle bundle = ModelFile.Load(path);
            Assert.True(bundle.Model.Parameters.Length <= bytes.Length, what);
            return true;
        }
        catch (RbeFileException error)
        {
            Assert.True(error.Path == path, $"{what}: {error.Message}");
            return false;
        }
        catch (RbeException)
        {
            return false;
        }
        catch (Exception error) when (error is not Xunit.Sdk.XunitException)
        {
            Assert.Fail($"{what}: {error}");
            return false;
        }
        finally
        {
            // JSON takes some 30 bytes a byte of header as objects and texts, the weights a few copies, the transforms of a new tile size a fixed amount.
            long bound = 64L * bytes.Length + (16 << 20), taken = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(taken < bound, string.Create(CultureInfo.InvariantCulture, $"{what}: {taken} bytes were allocated for a file of {bytes.Length}"));
        }
    }

    private static void AssertRefused(string path, string what)
    {
        try
        {
            ModelFile.Load(path).Dispose();
        }
        catch (RbeFileException error)
        {
            Assert.Equal(path, error.Path);
            return;
        }
        catch (Exception error)
        {
            Assert.Fail($"{what}: {error}");
        }

        Assert.Fail($"{what} went unnoticed");
    }

    private static void Write(string path, long place, byte value)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.Write);
        file.Position = place;
        file.WriteByte(value);
    }

    private static Span<byte> Payload(byte[] file, RbeTensorInfo tensor) => file.AsSpan((int)tensor.Offset, (int)tensor.ByteLength);

    private static IEnumerable<string> Leaves(JsonNode? node, string place) => node switch
    {
        JsonObject o => o.SelectMany(p => Leaves(p.Value, $"{place}/{p.Key}")),
        JsonArray a => a.SelectMany((item, i) => Leaves(item, $"{place}/{i}")),
        _ => [place],
    };

    private static void Replace(JsonNode root, string place, JsonNode? value)
    {
        string[] keys = place.Split('/')[1..];
        foreach (string key in keys[..^1]) root = root is JsonArray list ? list[int.Parse(key, CultureInfo.InvariantCulture)]! : root[key]!;
        if (root is JsonArray array) array[int.Parse(keys[^1], CultureInfo.InvariantCulture)] = value;
        else root[keys[^1]] = value;
    }
}
