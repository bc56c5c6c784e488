using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using RbeMl.Cli;
using RbeMl.Cli.Finetune;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary>What a run writes while it lasts: JSON lines, a table, TensorBoard's events.</summary>
public sealed class MetricsLogTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private JsonElement Metrics => JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json"))).RootElement;

    // Step and loss of each step and of each validation, as the document at the end has them.
    private (string[] Steps, string[] Validations) Expected() => (
        [.. Metrics.GetProperty("steps").EnumerateArray().Select(step => $"{step.GetProperty("step")} {step.GetProperty("loss").GetRawText()} "
            + $"{step.GetProperty("learningRate").GetRawText()} {step.GetProperty("gradientNorm").GetRawText()} {step.GetProperty("tokens")}")],
        [.. Metrics.GetProperty("validation").EnumerateArray().Select(each => $"{each.GetProperty("step")} {each.GetProperty("loss").GetRawText()}")]);

    private (string[] Steps, string[] Validations) Lines()
    {
        JsonElement[] lines = [.. File.ReadLines(_folder.File("out/metrics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)];
        return ([.. lines.Where(line => line.TryGetProperty("loss", out _)).Select(step =>
            $"{step.GetProperty("step")} {step.GetProperty("loss").GetRawText()} "
            + $"{step.GetProperty("learningRate").GetRawText()} {step.GetProperty("gradientNorm").GetRawText()} {step.GetProperty("tokens")}")],
            [.. lines.Where(line => line.TryGetProperty("validationLoss", out _))
                .Select(each => $"{each.GetProperty("step")} {each.GetProperty("validationLoss").GetRawText()}")]);
    }

    private (string[] Steps, string[] Validations) Table()
    {
        string[] lines = File.ReadAllLines(_folder.File("t.csv"));
        Assert.Equal(CsvFile.Header, lines[0] + "\n");
        string[][] cells = [.. lines[1..].Select(line => line.Split(','))];
        return ([.. cells.Where(row => row[1].Length > 0).Select(row => $"{row[0]} {row[1]} {row[2]} {row[3]} {row[6]}")],
            [.. cells.Where(row => row[7].Length > 0).Select(row => $"{row[0]} {row[7]}")]);
    }

    [Fact]
    public void A_stopped_and_resumed_run_has_every_step_once_in_all_of_them()
    {
        string[] args = TinyJob.Args(_folder, "--steps", "12", "--csv", _folder.File("t.csv"), "--tensorboard", _folder.File("board"));
        int seen = 0;
        using CancellationTokenSource cancel = new();
        WatchedWriter output = new(text =>
        {
            if (!text.Contains("step 5/", StringComparison.Ordinal)) return;
            seen = File.ReadLines(_folder.File("out/metrics.jsonl")).Count();
            cancel.Cancel();
        });
        Assert.Equal(130, Commands.Run(args, new CommandHost(output, TextWriter.Null) { Cancel = cancel.Token }));
        Assert.True(seen > 5, $"{seen} lines while step 5 was told"); // flushed, with the validation before
        File.AppendAllText(_folder.File("out/metrics.jsonl"), "{\"step\":6,\"loss\":1}\n{\"step\":"); // what a run that was killed left
        CommandRun.Of([.. args, "--resume"]).Succeeds();

        var expected = Expected();
        Assert.Equal(12, expected.Steps.Length);
        Assert.Equal(expected.Steps, Lines().Steps);
        Assert.Equal(expected.Validations, Lines().Validations);
        Assert.Equal(expected.Steps, Table().Steps);
        Assert.Equal(expected.Validations, Table().Validations);
        Assert.Equal((_folder.File("t.csv"), _folder.File("board")),
            (Metrics.GetProperty("settings").GetProperty("--csv").GetString(), Metrics.GetProperty("settings").GetProperty("--tensorboard").GetString()));

        string file = Assert.Single(Directory.GetFiles(_folder.File("board"), "*tfevents*", SearchOption.AllDirectories));
        Assert.Equal(Metrics.GetProperty("runId").GetString()![..8], Path.GetFileName(Path.GetDirectoryName(file)));
        List<(long Step, string Tag, float Value)> events = Events(File.ReadAllBytes(file));
        Assert.Equal(Metrics.GetProperty("steps").EnumerateArray().Select(step =>
            (step.GetProperty("step").GetInt64(), (float)step.GetProperty("loss").GetDouble())),
            events.Where(each => each.Tag == "loss/training").Select(each => (each.Step, each.Value)));
        Assert.Equal(Metrics.GetProperty("validation").EnumerateArray().Select(v =>
            (v.GetProperty("step").GetInt64(), (float)v.GetProperty("loss").GetDouble())),
            events.Where(each => each.Tag == "loss/validation").Select(each => (each.Step, each.Value)));
        Assert.Equal(["gradient_norm", "learning_rate", "loss/training", "loss/validation", "resident_bytes", "tokens_per_second"],
            events.Select(each => each.Tag).Distinct().Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Checksums_are_those_of_TFRecord()
    {
        Assert.Equal(0xE3069283u, Crc("123456789"u8));
        Assert.Equal(Masked("123456789"u8), EventFile.Checksum("123456789"u8));
    }

    [Fact]
    public void A_table_that_is_there_is_not_replaced()
    {
        string file = _folder.Write("t.csv", "mine");
        CommandRun.Of(TinyJob.Args(_folder, "--csv", file)).Fails(1, "is there already");
        CommandRun.Of(TinyJob.Args(_folder, "--csv", file, "--overwrite")).Fails(1, "was not written by finetune");
        Assert.Equal("mine", File.ReadAllText(file));
        File.WriteAllText(file, CsvFile.Header + "1,2\n");
        TinyJob.Run(_folder, "--csv", file, "--overwrite");
        Assert.Equal(Expected().Steps, Table().Steps);
        CommandRun.Of(TinyJob.Args(_folder, "--csv", _folder.File("out/model.rbe"))).Fails(2, "would replace");
    }

    // A reader of its own: records, then fields of protobuf.
    private static List<(long Step, string Tag, float Value)> Events(ReadOnlySpan<byte> file)
    {
        List<(long, string, float)> events = [];
        bool first = true;
        while (!file.IsEmpty)
        {
            int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(file);
            Assert.Equal(Masked(file[..8]), BinaryPrimitives.ReadUInt32LittleEndian(file[8..]));
            ReadOnlySpan<byte> data = file.Slice(12, length);
            Assert.Equal(Masked(data), BinaryPrimitives.ReadUInt32LittleEndian(file[(12 + length)..]));
            file = file[(16 + length)..];
            Dictionary<int, byte[]> fields = Fields(data);
            double time = BinaryPrimitives.ReadDoubleLittleEndian(fields[1]);
            Assert.InRange(time, 1.7e9, 1e11);
            if (first)
            {
                Assert.Equal("brain.Event:2", Encoding.UTF8.GetString(fields[3]));
                first = false;
                continue;
            }

            Dictionary<int, byte[]> value = Fields(Fields(fields[5])[1]);
            events.Add((fields.TryGetValue(2, out byte[]? step) ? (long)Whole(step, out _) : 0, Encoding.UTF8.GetString(value[1]),
                BinaryPrimitives.ReadSingleLittleEndian(value[2])));
        }

        return events;
    }

    private static Dictionary<int, byte[]> Fields(ReadOnlySpan<byte> data)
    {
        Dictionary<int, byte[]> fields = [];
        while (!data.IsEmpty)
        {
            ulong key = Whole(data, out int used);
            data = data[used..];
            int length = (key & 7) switch { 1 => 8, 5 => 4, _ => 0 };
            if ((key & 7) == 0) _ = Whole(data, out length);
            if ((key & 7) == 2)
            {
                length = (int)Whole(data, out used);
                data = data[used..];
            }

            fields[(int)(key >> 3)] = data[..length].ToArray();
            data = data[length..];
        }

        return fields;
    }

    private static ulong Whole(ReadOnlySpan<byte> data, out int used)
    {
        ulong value = 0;
        for (used = 0; ; used++)
        {
            value |= (ulong)(data[used] & 0x7F) << (7 * used);
            if (data[used] < 0x80) break;
        }

        used++;
        return value;
    }

    private static uint Masked(ReadOnlySpan<byte> data)
    {
        uint crc = Crc(data);
        return ((crc >> 15) | (crc << 17)) + 0xA282EAD8;
    }

    // Bit by bit.
    private static uint Crc(ReadOnlySpan<byte> data)
    {
        uint crc = 0xFFFFFFFF;
        foreach (byte each in data)
        {
            crc ^= each;
            for (int bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78 : crc >> 1;
        }

        return ~crc;
    }
}
