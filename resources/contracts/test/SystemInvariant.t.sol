// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {IProviderRegistry} from "../src/interfaces/IProviderRegistry.sol";
import {IStorageDeals} from "../src/interfaces/IStorageDeals.sol";
import {Trees} from "./support/Trees.sol";
import {FuzzSelector, bound, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// One provider, one customer of its storage and one of its metered work, on all four contracts at once: stake moves while
/// sets fault, the payout address changes between two settlements, ownership is handed over, tokens are minted and burnt.
contract SystemActors is World {
    address[2] public payouts = [address(0xBA4C), address(0xBA4D)];
    address[2] public owners = [address(0xA11CE), address(0xA11CF)]; // of the one provider, by turns
    uint256 private constant SETS = 2;

    bytes32[SETS] public ids;
    uint64[SETS] private _opened; // period
    uint256[][SETS] private _sizes; // leaves by piece
    uint256 public closedPaid; // by sets whose place was taken
    mapping(bytes32 setId => mapping(uint64 period => bool)) private _paid;
    mapping(bytes32 setId => mapping(uint64 piece => uint64)) private _goneFrom; // period + 1
    uint256 private _salt;
    uint256 private _operatorKey = OPERATOR_KEY;

    uint256 public funded; // into sets
    uint256 public returned; // from sets
    uint256 public storagePaid; // settled by StorageDeals
    uint128 public deposited; // into the channel
    uint128 public refunded;
    uint128 public ceiling; // the highest voucher that was signed
    uint128 public lastClaimed;
    uint128 public lastSettled;
    uint256 public staked;
    uint256 public unstaked;
    uint256 public slashed;
    uint256 public ripe; // requested at least a thaw ago, reckoned when something was taken out
    uint256[2][] private _requests; // amount, time
    string public broken; // the first rule seen broken, in words

    function setUp() public override {
        super.setUp();
        staked = 10 * MIN_STAKE;
        for (uint256 i = 0; i < SETS; ++i) {
            ids[i] = openSet(uint128(i + 1) * 1e9, bytes32(i));
        }
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(owners[i]);
            token.approve(address(registry), type(uint256).max);
        }
    }

    // --- the provider and its stake ---

    function doStake(uint128 amount) external {
        amount = uint128(bound(amount, 1, 100e18));
        address owner = registry.ownerOf(provider);
        token.transfer(owner, amount);
        vm.prank(owner);
        registry.stake(amount);
        staked += amount;
    }

    function doRequest(uint128 amount) external {
        IProviderRegistry.Provider memory p = registry.provider(provider);
        if (p.stake == p.thawing || registry.thaws(provider).length == 16) return;
        uint128 free = p.stake - p.thawing;
        amount = luck(amount) % 3 == 0 ? free : uint128(bound(amount, 1, free)); // often all: then a slash eats into what thaws
        vm.prank(p.owner);
        registry.requestUnstake(amount);
        _requests.push([uint256(amount), block.timestamp]);
    }

    function doUnstake() external {
        IProviderRegistry.Provider memory p = registry.provider(provider);
        uint256 before = token.balanceOf(p.owner);
        vm.prank(p.owner);
        if (p.thawEnds == 0 || p.thawEnds > block.timestamp) vm.expectRevert();
        registry.unstake();
        unstaked += token.balanceOf(p.owner) - before;
        ripe = 0;
        for (uint256 i = 0; i < _requests.length; ++i) {
            if (_requests[i][1] + THAW <= block.timestamp) ripe += _requests[i][0];
        }
        if (unstaked > ripe) broken = "stake left before its thaw";
    }

    function doHandOver() external {
        address owner = registry.ownerOf(provider);
        address next = owner == owners[0] ? owners[1] : owners[0];
        vm.prank(owner);
        registry.proposeOwner(next);
        vm.prank(next);
        registry.acceptOwner(provider);
    }

    function doRotate(uint256 what) external {
        address owner = registry.ownerOf(provider);
        if (what % 2 == 0) {
            address next = payouts[(what >> 1) % 2];
            vm.prank(owner);
            registry.setPayout(next);
            return;
        }
        _operatorKey = _operatorKey == OPERATOR_KEY ? OPERATOR_KEY + 1 : OPERATOR_KEY;
        address hot = vm.addr(_operatorKey);
        vm.prank(owner);
        registry.setOperator(hot);
    }

    // --- storage ---

    function doFund(uint256 i, uint128 amount) external {
        if (!ended(ids[i % SETS])) fundOne(i % SETS, uint128(bound(amount, 1, 200e9)));
    }

    function doAdd(uint256 i, uint256 leaves) external {
        i %= SETS;
        if (ended(ids[i]) || _sizes[i].length == 16 || !registry.isActive(provider)) return;
        addOne(i, bound(leaves, 1, 9));
    }

    function addOne(uint256 i, uint256 leaves) private {
        IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](1);
        added[0] = Trees.piece(_sizes[i].length, leaves);
        uint64 first = deals.dataSet(ids[i]).pieceCount;
        bytes memory consent = signAdd(ids[i], first, added);
        vm.prank(vm.addr(_operatorKey));
        deals.add(ids[i], added, first, consent);
        _sizes[i].push(leaves);
    }

    function doRemove(uint256 i, uint64 piece) external {
        i %= SETS;
        if (ended(ids[i]) || _sizes[i].length == 0) return;
        piece = uint64(piece % _sizes[i].length);
        if (_goneFrom[ids[i]][piece] != 0) return;
        deals.scheduleRemovals(ids[i], list(piece), signRemovals(ids[i], list(piece)));
        _goneFrom[ids[i]][piece] = period() + 2;
    }

    /// Proves truly, or with one bit changed, or as an operator that was replaced.
    function doProve(uint256 i, uint256 lie) external {
        i %= SETS;
        bytes32 id = ids[i];
        lie = luck(lie);
        if (_sizes[i].length == 0 && !ended(id) && registry.isActive(provider)) {
            addOne(i, 1 + lie % 9);
            fundOne(i, uint128(1e9 * (1 + lie % 100)));
            toNextPeriod();
        }
        if (deals.seedOf(period()) == 0) {
            toWindow();
            deals.poke();
        }
        (uint64[] memory pieces, uint64[] memory leaves) = deals.challenges(id);
        for (uint256 c = 0; c < pieces.length; ++c) {
            uint64 gone = _goneFrom[id][pieces[c]];
            if (gone != 0 && period() + 1 >= gone) broken = "a removed piece was challenged";
        }
        bytes memory data = Trees.answer(pieces, leaves, _sizes[i]);
        bool truth = lie % 4 != 0 && data.length != 0;
        if (lie % 4 == 0 && data.length != 0) data[lie % data.length] ^= 0x01;
        bool current = lie % 4 != 1;
        bool valid = truth && current && !deals.isProven(id, period());

        (uint128 before, uint256 held) = (deals.owed(provider), token.balanceOf(address(deals)));
        address hot = vm.addr(current ? _operatorKey : OPERATOR_KEY + 2);
        if (!valid) vm.expectRevert();
        proveAs(hot, bytes.concat(bytes16(id), data));
        if (!valid && deals.owed(provider) != before) broken = "a refused proof was paid";
        if (token.balanceOf(address(deals)) != held) broken = "a proof moved tokens";
        if (valid && _paid[id][period()]) broken = "a period was paid twice";
        if (valid) _paid[id][period()] = true;
    }

    function doReport(uint256 i, uint64 back) external {
        bytes32 id = ids[i % SETS];
        if (period() == 0) return;
        uint64 which = uint64(period() - 1 - (back % 5 < period() ? back % 5 : 0));
        uint256 stake = registry.provider(provider).stake;
        try deals.reportFault(id, which) {
            if (_paid[id][which]) broken = "a proven period was called a fault";
            uint256 taken = stake - registry.provider(provider).stake;
            if (taken > stake / 20) broken = "a slash took more than its share";
            slashed += taken;
        } catch {
            if (registry.provider(provider).stake != stake) broken = "a refused report cost stake";
        }
    }

    function doSettleStorage() external {
        if (deals.owed(provider) != 0) storagePaid += deals.settle(provider);
    }

    function doEnd(uint256 i, uint256 chance) external {
        bytes32 id = ids[i % SETS];
        chance = luck(chance);
        if (chance % 16 == 0 && !ended(id) && deals.dataSet(id).endsAfter == type(uint64).max) {
            storagePaid += deals.owed(provider);
            deals.terminate(id, signTerminate(id));
        }
        if (chance % 16 == 1 && !ended(id)) {
            uint64 proven = deals.dataSet(id).lastProven;
            bool idle = period() >= 30 + (proven > _opened[i % SETS] ? proven : _opened[i % SETS]);
            if (!idle) vm.expectRevert();
            deals.endInactive(id);
        }
        uint128 escrow = deals.dataSet(id).escrow;
        if (ended(id) && escrow != 0) {
            deals.returnEscrow(id);
            returned += escrow;
        }
    }

    /// A new set in the place of one that is over and done with.
    function doReopen(uint256 i) external {
        i %= SETS;
        IStorageDeals.DataSet memory old = deals.dataSet(ids[i]);
        bool late = block.timestamp >= START + 365 days;
        if (!ended(ids[i]) || old.escrow != 0 || late || !registry.isActive(provider)) return;
        closedPaid += old.paid;
        ids[i] = openSet(uint128(i + 1) * 1e9, keccak256(abi.encode(++_salt)));
        _opened[i] = period();
        delete _sizes[i];
    }

    // --- metered work ---

    function doDeposit(uint128 amount) external {
        amount = uint128(bound(amount, 1, 1_000e18));
        deposit(channel("system"), amount, ++_salt);
        deposited += amount;
    }

    /// Claims with a voucher that may be too low, or ask for more than was signed or deposited.
    function doClaim(uint128 top, uint128 total) external {
        (uint128 balance, uint128 claimed) = settlement.channels(channelId());
        top = uint128(bound(top, 0, uint256(balance) * 2));
        total = uint128(bound(total, 0, uint256(top) + 1));
        bool valid = total <= claimed || (total <= top && total <= balance);
        if (top > ceiling) ceiling = top;
        IBatchSettlement.VoucherClaim[] memory batch = claims(voucher(channel("system"), top, total));
        vm.prank(operator);
        if (!valid) vm.expectRevert();
        settlement.claim(batch);
        (, claimed) = settlement.channels(channelId());
        if (claimed < lastClaimed) broken = "a claimed total fell";
        lastClaimed = claimed;
    }

    function doSettleWork() external {
        settlement.settle(payout, address(token));
        (, uint128 settled) = settlement.receivers(payout, address(token));
        if (settled < lastSettled) broken = "a settled total fell";
        lastSettled = settled;
    }

    function doRefund(uint128 amount) external {
        (uint128 balance, uint128 claimed) = settlement.channels(channelId());
        if (amount == 0 || balance == claimed) return;
        uint256 before = token.balanceOf(spender);
        IBatchSettlement.ChannelConfig memory config = channel("system");
        vm.prank(operator);
        settlement.refund(config, amount);
        refunded += uint128(token.balanceOf(spender) - before);
    }

    // --- the token and time ---

    function doEmit() external {
        if (token.scheduledBy(block.timestamp) > token.emitted()) token.emitDue();
    }

    function doWait(uint256 time) external {
        // Mostly a period or two, at times so long that stake has thawed and sets count as inactive.
        vm.warp(block.timestamp + (luck(time) % 8 == 0 ? THAW + PERIOD : bound(time, 1, 2 * uint256(PERIOD))));
    }

    function fundOne(uint256 i, uint128 amount) private {
        fundSet(ids[i], amount, bytes32(++_salt));
        funded += amount;
    }

    /// The fuzzer likes zeros and other round numbers; where a chance is meant, they are mixed.
    function luck(uint256 value) private returns (uint256) {
        return uint256(keccak256(abi.encode(value, ++_salt)));
    }

    // --- what the invariants read ---

    function ended(bytes32 id) private view returns (bool) {
        return deals.dataSet(id).endsAfter < period();
    }

    function channelId() private view returns (bytes32) {
        return settlement.getChannelId(channel("system"));
    }

    function minted() external view returns (uint256) {
        return FIRST_SUPPLY + token.emitted();
    }

    /// Tokens held by each contract, and what each owes by its own books.
    function books() external view returns (uint256[3] memory held, uint256[3] memory due) {
        held = [
            token.balanceOf(address(registry)), token.balanceOf(SETTLEMENT), token.balanceOf(address(deals))
        ];
        (uint128 balance, uint128 claimed) = settlement.channels(channelId());
        (uint128 allClaimed, uint128 settled) = settlement.receivers(payout, address(token));
        due = [uint256(registry.provider(provider).stake), balance - claimed + allClaimed - settled, deals.owed(provider)];
        for (uint256 i = 0; i < SETS; ++i) {
            due[2] += deals.dataSet(ids[i]).escrow;
        }
    }

    /// Every token that exists, by where it may be.
    function everywhere() external view returns (uint256 sum) {
        address[12] memory places = [
            address(this), customer, spender, owners[0], owners[1], payouts[0], payouts[1], stranger, beneficiary,
            address(registry), SETTLEMENT, address(deals)
        ];
        for (uint256 i = 0; i < places.length; ++i) {
            sum += token.balanceOf(places[i]);
        }
    }

    function supply() external view returns (uint256) {
        return token.totalSupply();
    }

    function stakeAndThaw() external view returns (uint256 stake, uint256 thawing) {
        IProviderRegistry.Provider memory p = registry.provider(provider);
        return (p.stake, p.thawing);
    }

    function paidOut() external view returns (uint256 payoutsHold, uint256 setsPaid, uint256 owed, uint256 workSettled) {
        payoutsHold = token.balanceOf(payouts[0]) + token.balanceOf(payouts[1]);
        setsPaid = closedPaid;
        for (uint256 i = 0; i < SETS; ++i) {
            setsPaid += deals.dataSet(ids[i]).paid;
        }
        owed = deals.owed(provider);
        (, uint128 settled) = settlement.receivers(payout, address(token));
        workSettled = settled;
    }

    function channelState() external view returns (uint128 balance, uint128 claimed) {
        return settlement.channels(channelId());
    }
}

contract SystemInvariantTest {
    SystemActors private actors;

    function setUp() public {
        actors = SystemActors(vm.deployCode("SystemInvariant.t.sol:SystemActors"));
        actors.setUp();
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](19);
        selectors[0] = actors.doStake.selector;
        selectors[1] = actors.doRequest.selector;
        selectors[2] = actors.doUnstake.selector;
        selectors[3] = actors.doHandOver.selector;
        selectors[4] = actors.doRotate.selector;
        selectors[5] = actors.doFund.selector;
        selectors[6] = actors.doAdd.selector;
        selectors[7] = actors.doRemove.selector;
        selectors[8] = actors.doProve.selector;
        selectors[9] = actors.doReport.selector;
        selectors[10] = actors.doSettleStorage.selector;
        selectors[11] = actors.doEnd.selector;
        selectors[12] = actors.doDeposit.selector;
        selectors[13] = actors.doClaim.selector;
        selectors[14] = actors.doSettleWork.selector;
        selectors[15] = actors.doRefund.selector;
        selectors[16] = actors.doEmit.selector;
        selectors[17] = actors.doWait.selector;
        selectors[18] = actors.doReopen.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(actors), selectors);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    /// All of it in one function, so that every call is followed by all of it.
    /// forge-config: deep.invariant.runs = 200
    /// forge-config: deep.invariant.depth = 1024
    function invariant_TheWholeSystem() public view {
        vm.assertEq(actors.broken(), "");

        // Tokens are conserved, and come from the schedule alone.
        (uint256[3] memory held, uint256[3] memory due) = actors.books();
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(held[i], due[i]);
        }
        vm.assertEq(actors.everywhere(), actors.supply());
        uint256 burnt = actors.minted() - actors.supply();
        vm.assertLe(burnt, actors.slashed());
        vm.assertGe(burnt, actors.slashed() * 4 / 5);

        // Nobody takes out more than was put in for them, and a payout address gets exactly what was settled.
        (uint256 payoutsHold, uint256 setsPaid, uint256 owed, uint256 workSettled) = actors.paidOut();
        vm.assertEq(payoutsHold, actors.storagePaid() + workSettled);
        vm.assertEq(setsPaid, actors.storagePaid() + owed);
        vm.assertLe(setsPaid + actors.returned(), actors.funded());
        (uint128 balance, uint128 claimed) = actors.channelState();
        vm.assertEq(balance, actors.deposited() - actors.refunded());
        vm.assertLe(claimed, balance);
        vm.assertLe(claimed, actors.ceiling());
        vm.assertLe(workSettled, claimed);

        // The stake is what came less what left, and never below what thaws.
        (uint256 stake, uint256 thawing) = actors.stakeAndThaw();
        vm.assertEq(stake, actors.staked() - actors.unstaked() - actors.slashed());
        vm.assertLe(thawing, stake);
    }
}
